package server

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

// A Config holds every setting of the daemon. A field's tags are the only
// place of the setting's name, default and help: flags (--name), environment
// (CORRAL_NAME) and file (name: value) are made of them, and Defaults fills a
// Config from them.
//
// A number or duration of 0 is a mistake unless its help gives 0 a meaning.
// What has the tag reload:"no" keeps its value as long as the server runs.
type Config struct {
	Name   string   `name:"name" default:"corral" placeholder:"NAME" help:"Name of this cache in Cache-Status, metrics and logs." group:"Cache" reload:"no"`
	Listen Address  `name:"listen" default:":8080" help:"Address that clients connect to, by HTTP/1.1 or HTTP/2 without TLS. Port 0 takes a free one; off: none." group:"Front" reload:"no"`
	Admin  Address  `name:"admin.listen" default:"127.0.0.1:9090" help:"Address of /metrics, /healthz, /readyz, /purge, /reload and /debug/pprof. Loopback, unless there is admin.token-file, admin.client-ca or admin.insecure-public." group:"Admin" reload:"no"`
	Origin Origin   `name:"origin" placeholder:"URL" help:"Where the answers come from that the cache does not have, as http://127.0.0.1:9000. Required, unless the file has origins." group:"Origin"`
	Log    Format   `name:"log.format" default:"json" placeholder:"json|text" help:"Form of both logs." group:"Logs" reload:"no"`
	Level  LogLevel `name:"log.level" default:"info" placeholder:"debug|info|warn|error" help:"Least severe messages that the log on standard error has." group:"Logs"`

	MaxBytes       Bytes `name:"max-bytes" default:"256MiB" help:"Memory for what is cached: keys, responses, overhead, and bodies still arriving. An eighth of it is left to the collector, which is set so that the process needs little more." group:"Cache" reload:"no"`
	MirrorBytes    Bytes `name:"mirror-bytes" default:"0" help:"Of max-bytes, memory for copies of answers that other nodes of the cluster own. 0: an eighth of it." group:"Cache" reload:"no"`
	MaxObjectBytes Bytes `name:"max-object-bytes" default:"0" help:"Largest response that is kept. 0: whatever fits into max-bytes." group:"Cache" reload:"no"`
	MaxKeyBytes    Bytes `name:"max-key-bytes" default:"8KiB" help:"Longest scheme, host, path and query of a request. Over it: 414." group:"Cache" reload:"no"`
	MaxLoads       int   `name:"max-loads" default:"256" help:"Requests to the origin on the cache's behalf that run at once in this process; more wait their turn." group:"Cache" reload:"no"`
	MaxWaiters     int   `name:"max-waiters" default:"100000" help:"Requests that wait for such a request. Over it: 503." group:"Cache" reload:"no"`
	MaxKeyWaiters  int   `name:"max-waiters-per-key" default:"10000" help:"Of these, for one and the same response." group:"Cache" reload:"no"`

	LoadTimeout time.Duration `name:"load-timeout" default:"30s" help:"How long the origin may take until a response's header, before those who wait get 504 and the key is free again." group:"Cache"`
	TailTimeout time.Duration `name:"tail-timeout" default:"30s" help:"How long a response's body may make no progress, before it is broken off." group:"Cache" reload:"no"`
	PassTTL     time.Duration `name:"pass-ttl" default:"120s" help:"How long nobody waits for a shared answer under a key whose last answer could not be shared. 0: not at all." group:"Cache"`

	MaxVariants   int `name:"max-variants" default:"128" help:"Responses that are kept for one address because of Vary. Over it the oldest goes." group:"Cache"`
	KeysPerMinute int `name:"keys-per-minute" default:"0" help:"Addresses, not yet in the cache, that one client may make it fetch in a minute. Over it: 429. 0: no limit, which is right behind a proxy that is not in trusted-proxies, for then all clients are one." group:"Cache"`

	TargetedFields Words  `name:"targeted-fields" default:"CDN-Cache-Control" placeholder:"FIELD,…" help:"Fields (RFC 9213) that are heeded in the place of Cache-Control and Expires; the first one that is there and valid counts. Empty: none." group:"Cache"`
	StoreCookies   Switch `name:"store-cookies" default:"off" placeholder:"on|off" help:"Store answers with Set-Cookie as the letter of RFC 9111 allows: everybody is given the cookie that the first one was." group:"Cache"`
	IgnoreCookies  Switch `name:"ignore-cookies" default:"off" placeholder:"on|off" help:"Take Cookie out of GET and HEAD requests, for an origin whose pages do not depend on it. Otherwise a request with a cookie goes to the origin alone unless the answer is in the cache." group:"Cache"`

	OriginMaxConns       int           `name:"origin.max-conns" default:"512" help:"Connections to the origin, those for answers that are not shared included; more requests wait. 0: no limit." group:"Origin"`
	OriginConnectTimeout time.Duration `name:"origin.connect-timeout" default:"5s" help:"How long it may take to connect to the origin." group:"Origin"`
	OriginIdleTimeout    time.Duration `name:"origin.idle-timeout" default:"90s" help:"How long an unused connection to the origin is kept." group:"Origin"`

	OriginMaxHeaderBytes Bytes `name:"origin.max-header-bytes" default:"256KiB" help:"Largest header of a response from the origin. Over it: 502." group:"Origin"`

	TLSListen  Address       `name:"tls.listen" default:"off" help:"Address that clients connect to by TLS, with HTTP/2 where they can. Off: none." group:"TLS" reload:"no"`
	TLSCert    Words         `name:"tls.cert" placeholder:"FILE,…" help:"PEM files of certificates, each with its chain. The first that suits the name that a client asks for is shown, or else the very first." group:"TLS"`
	TLSKey     Words         `name:"tls.key" placeholder:"FILE,…" help:"PEM files of their keys, in the same order." group:"TLS"`
	TLSMin     TLSVersion    `name:"tls.min-version" default:"1.2" placeholder:"1.2|1.3" help:"Least version of TLS that is spoken." group:"TLS" reload:"no"`
	TLSRefresh time.Duration `name:"tls.reload-interval" default:"1m" help:"How often these files are looked at, so that a new certificate is shown without a reload." group:"TLS" reload:"no"`

	TrustedProxies Prefixes `name:"trusted-proxies" placeholder:"ADDRESS,…" help:"Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, as 10.0.0.0/8, ::1." group:"Front"`
	ProxyProtocol  Switch   `name:"proxy-protocol" default:"off" placeholder:"on|off" help:"On: connections begin with a header of the PROXY protocol (version 1 or 2), which tells the client's address. Only those from trusted-proxies are accepted." group:"Front" reload:"no"`

	MaxConns       int           `name:"max-conns" default:"50000" help:"Connections of clients; more wait to be accepted." group:"Front" reload:"no"`
	MaxStreams     int           `name:"max-streams" default:"250" help:"Requests that run at once on one HTTP/2 connection." group:"Front" reload:"no"`
	HeaderTimeout  time.Duration `name:"header-timeout" default:"10s" help:"How long a client may take to send a request's header." group:"Front" reload:"no"`
	IdleTimeout    time.Duration `name:"idle-timeout" default:"120s" help:"How long a client's unused connection is kept." group:"Front" reload:"no"`
	MaxHeaderBytes Bytes         `name:"max-header-bytes" default:"64KiB" help:"Largest header of a request. Over it: 431." group:"Front" reload:"no"`

	AdminToken    string `name:"admin.token-file" placeholder:"FILE" help:"File of a token of 16 characters or more. Whoever purges, reloads or profiles must send it, as Authorization: Bearer." group:"Admin"`
	AdminCert     string `name:"admin.tls-cert" placeholder:"FILE" help:"PEM file of a certificate: admin.listen then speaks TLS." group:"Admin" reload:"no"`
	AdminKey      string `name:"admin.tls-key" placeholder:"FILE" help:"PEM file of its key." group:"Admin" reload:"no"`
	AdminClientCA string `name:"admin.client-ca" placeholder:"FILE" help:"PEM file of authorities: who connects to admin.listen needs a certificate of theirs, and then no token unless admin.token-file is set too." group:"Admin" reload:"no"`
	AdminPublic   Switch `name:"admin.insecure-public" default:"off" placeholder:"on|off" help:"Allow admin.listen on an address that others can reach, without a token or certificate: whoever reaches it may read the metrics, and do nothing else." group:"Admin" reload:"no"`

	AccessLog       Switch `name:"access-log" default:"on" placeholder:"on|off" help:"Write a line for each request to standard output." group:"Logs" reload:"no"`
	AccessLogBuffer int    `name:"access-log.buffer" default:"8192" help:"Lines that wait for standard output; more are dropped and counted, so that a slow reader never slows a request." group:"Logs" reload:"no"`

	NodeName         string  `name:"node.name" placeholder:"NAME" help:"Name of this node in its cluster, the same over all its restarts. Not set: that of the machine." group:"Cluster" reload:"no"`
	NodeWeight       int     `name:"node.weight" default:"1" help:"How many of the keys this node owns, relative to the others. 0: none; it asks the owners, fetches what they have not got, and keeps copies." group:"Cluster" reload:"no"`
	Cluster          Address `name:"cluster.listen" placeholder:"HOST:PORT" help:"Address at which the other nodes of a cluster reach this one. Not set: this process is in none." group:"Cluster" reload:"no"`
	Advertise        string  `name:"cluster.advertise" placeholder:"HOST:PORT" help:"Address that the others are told, where cluster.listen is not the one to be reached at." group:"Cluster" reload:"no"`
	Peers            Words   `name:"cluster.peers" placeholder:"HOST:PORT,…" help:"Addresses of the first nodes, this one among them if it is one. On the first of them, or on the first three where there are so many, etcd runs inside the node. The same on all nodes." group:"Cluster" reload:"no"`
	ClusterDir       string  `name:"cluster.dir" placeholder:"DIRECTORY" help:"Directory that is this node's own and stays: etcd's data, and the proof that an earlier process of this node has ended. cluster.peers needs it." group:"Cluster" reload:"no"`
	ClusterNew       Switch  `name:"cluster.new" default:"off" placeholder:"on|off" help:"On: create the cluster if there is none yet. For the very first start of the first nodes." group:"Cluster" reload:"no"`
	ClusterZone      string  `name:"cluster.zone" placeholder:"NAME" help:"Where this node is; shown by cluster status." group:"Cluster" reload:"no"`
	Etcd             Words   `name:"cluster.etcd" placeholder:"HOST:PORT,…" help:"Addresses of an etcd that is there, in the place of cluster.peers." group:"Cluster" reload:"no"`
	EtcdPrefix       string  `name:"cluster.etcd-prefix" default:"/corral/" placeholder:"PREFIX" help:"What the names of all that is kept in it begin with. Two clusters on one etcd need two." group:"Cluster" reload:"no"`
	EtcdListen       string  `name:"cluster.etcd-listen" placeholder:"HOST:PORT,PORT" help:"Where the etcd inside this node listens: for its like, and for the nodes. Not set: on free ports, which cluster.dir keeps." group:"Cluster" reload:"no"`
	ClusterCert      string  `name:"cluster.tls-cert" placeholder:"FILE" help:"PEM file of this node's certificate, for the hosts by which others reach it. With the next two everything in the cluster goes by TLS with certificates at both ends, also to etcd. All three are read anew when they change." group:"Cluster" reload:"no"`
	ClusterKey       string  `name:"cluster.tls-key" placeholder:"FILE" help:"PEM file of its key." group:"Cluster" reload:"no"`
	ClusterCA        string  `name:"cluster.tls-ca" placeholder:"FILE" help:"PEM file of the authorities: who has no certificate of theirs is refused." group:"Cluster" reload:"no"`
	ClusterPlaintext Switch  `name:"cluster.insecure-plaintext" default:"off" placeholder:"on|off" help:"Allow a cluster without certificates on addresses that others can reach: whoever is on the network reads what is cached, and may call itself a node." group:"Cluster" reload:"no"`

	StoreDir      string        `name:"store.dir" placeholder:"DIRECTORY" help:"Directory where answers survive a restart. It is this process's own and holds nothing else. Not set, and store.redis.url neither: nothing is kept across restarts." group:"Store" reload:"no"`
	StoreMaxBytes Bytes         `name:"store.max-bytes" default:"4GiB" help:"Disk space for answers in store.dir. Over it those go that were written first and not read since." group:"Store" reload:"no"`
	StoreTimeout  time.Duration `name:"store.timeout" default:"0s" help:"How long a request waits for the store before it goes on without. 0: 1s for a directory, 50ms for Redis." group:"Store" reload:"no"`
	StoreRedis    Redis         `name:"store.redis" embed:"" prefix:"store.redis." group:"Store in Redis"`
	StoreReplicas int           `name:"store.redis.wait-replicas" default:"0" help:"Replicas that must have been told of a purge before it is acknowledged. 0: none; a failover may then bring back, for a process that starts later, what was purged up to a second before it." group:"Store in Redis" reload:"no"`

	Coordinator Coordinator   `name:"coordinator" placeholder:"cluster|redis|none" help:"Who decides which of several processes fetches an answer for all: the nodes of the cluster, or a Redis, which then has the answers too. Not set: cluster where cluster.listen is, else none." group:"Coordinator in Redis" reload:"no"`
	Redis       Redis         `name:"redis" embed:"" prefix:"redis." group:"Coordinator in Redis"`
	RedisLease  time.Duration `name:"redis.lease" default:"5s" help:"How long a process that fetches, and has fallen silent, keeps the others waiting, from 3s to 1m." group:"Coordinator in Redis" reload:"no"`
	RedisOutage Outage        `name:"redis.outage" default:"fetch" placeholder:"fetch|refuse" help:"What happens while that Redis is away. Fetch: each process asks the origin, once for all its own clients, and keeps nothing. Refuse: 503." group:"Coordinator in Redis" reload:"no"`

	ShutdownDelay   time.Duration `name:"shutdown-delay" default:"0s" help:"How long requests are still accepted after a signal to stop, while /readyz answers 503, so that a load balancer can take notice." group:"Stop"`
	ShutdownTimeout time.Duration `name:"shutdown-timeout" default:"30s" help:"How long running requests may take to finish after that. Those that do not are cut off." group:"Stop"`

	Origins []Pool `kong:"-"` // named ones, in the file alone
	Rules   []Rule `kong:"-"` // in the file alone

	// From says where a value comes from, as corral.yaml:3, by the name of its
	// setting. What has its default is not in it.
	From map[string]string `kong:"-"`
}

// validName reports whether a name can stand in Cache-Status unquoted (a Token
// of RFC 9651, section 3.3.4) and in a label of a metric.
func validName(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-_.", c)) {
			return false
		}
	}
	return name != ""
}

// ValidPoolName reports whether a pool can have a name: dots tell a pool from
// its fields.
func ValidPoolName(name string) bool { return validName(name) && !strings.Contains(name, ".") }

// freePort reports whether the system chooses the port.
func (a Address) freePort() bool { return strings.HasSuffix(string(a), ":0") }

// loopback reports whether only this machine can reach the address. A host
// name other than localhost counts as public: what it resolves to may change.
func (a Address) loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
