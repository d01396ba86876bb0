package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/corralcache/corral/store/redis"
)

// Redis are the settings by which a Redis is reached, for the store or for the
// coordinator.
type Redis struct {
	URL              RedisURL `name:"url" placeholder:"URL" help:"Redis or Valkey, as redis://user@127.0.0.1:6379/0, or rediss:// with TLS; more nodes of a Redis Cluster, or more Sentinels, as ?addr=HOST:PORT&addr=HOST:PORT." reload:"no"`
	SentinelMaster   string   `name:"sentinel-master" placeholder:"NAME" help:"The servers of the URL are Sentinels, which know the Redis by this name." reload:"no"`
	PasswordFile     string   `name:"password-file" placeholder:"FILE" help:"File of the password, which is better kept here, or in the environment with the whole URL, than on a command line." reload:"no"`
	SentinelPassword string   `name:"sentinel-password-file" placeholder:"FILE" help:"File of the Sentinels' password, where they have one." reload:"no"`
	CA               string   `name:"tls-ca" placeholder:"FILE" help:"PEM file of the authorities of its certificate, where they are none of the machine's. Its connections then have TLS." reload:"no"`
	Cert             string   `name:"tls-cert" placeholder:"FILE" help:"PEM file of a certificate to show it." reload:"no"`
	Key              string   `name:"tls-key" placeholder:"FILE" help:"PEM file of its key." reload:"no"`
	Prefix           string   `name:"prefix" default:"corral:" placeholder:"PREFIX" help:"What all keys begin with: caches that share a Redis need one each, and processes of one cache the same." reload:"no"`
	MaxValueBytes    Bytes    `name:"max-value-bytes" default:"4MiB" help:"Largest response, with its body, that is written there." reload:"no"`
}

// A RedisURL says where a Redis is.
type RedisURL string

func (r *RedisURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	switch {
	case err != nil, u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return errors.New("write a URL, as redis://127.0.0.1:6379 or rediss://user@redis.example.com:6380/0")
	case u.Scheme != "unix" && u.Host == "":
		return errors.New("write the host, as redis://127.0.0.1:6379")
	}
	*r = RedisURL(text)
	return nil
}

// String is the URL without its password.
func (r RedisURL) String() string { return withoutPassword(string(r)) }

// A redisProblem is what is wrong with one of the fields of a Redis, by its
// name.
type redisProblem struct{ field, value, remedy string }

// Config is how a client is to reach it. name is what the names of the fields
// begin with in an error, which joins a *Problem for each that is wrong.
func (r *Redis) Config(name string) (redis.Config, error) {
	return new(Config).redisAt(name, r)
}

// config reads the files that the settings name.
func (r *Redis) config() (redis.Config, []redisProblem) {
	var problems []redisProblem
	wrong := func(field, value, remedy string) {
		problems = append(problems, redisProblem{field, value, remedy})
	}
	c := redis.Config{URL: string(r.URL), SentinelMaster: r.SentinelMaster}
	for _, file := range []struct {
		field, path string
		into        *string
	}{{"password-file", r.PasswordFile, &c.Password}, {"sentinel-password-file", r.SentinelPassword, &c.SentinelPassword}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if *file.into = strings.TrimSpace(string(text)); err != nil {
			wrong(file.field, file.path, err.Error()+": name a file that this user may read")
		} else if *file.into == "" {
			wrong(file.field, file.path, "there is nothing in it: write the password there, or leave the setting out")
		}
	}
	tls, wrongFiles := r.tls()
	problems = append(problems, wrongFiles...)
	if c.TLS = tls; len(problems) > 0 {
		return c, problems
	}
	if err := c.Validate(); err != nil {
		wrong("url", r.URL.String(), strings.TrimPrefix(err.Error(), "redis: "))
	}
	return c, problems
}

// tls is how it is spoken to, where that differs from what the URL says.
func (r *Redis) tls() (config *tls.Config, problems []redisProblem) {
	if r.CA == "" && r.Cert == "" && r.Key == "" {
		return nil, nil
	}
	config = &tls.Config{MinVersion: tls.VersionTLS12} // the name that is asked for is that of each address
	if r.CA != "" {
		text, err := os.ReadFile(r.CA)
		config.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			problems = append(problems, redisProblem{"tls-ca", r.CA, err.Error() + ": name a PEM file that this user may read"})
		case !config.RootCAs.AppendCertsFromPEM(text):
			problems = append(problems, redisProblem{"tls-ca", r.CA, "there is no certificate in it: give a PEM file of certificates"})
		}
	}
	switch {
	case r.Cert == "" && r.Key != "":
		problems = append(problems, redisProblem{"tls-cert", r.Cert, "tls-key is set: set both or neither"})
	case r.Cert != "" && r.Key == "":
		problems = append(problems, redisProblem{"tls-key", r.Key, "tls-cert is set: set both or neither"})
	case r.Cert != "":
		pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
		if err != nil {
			problems = append(problems, redisProblem{"tls-cert", r.Cert, fmt.Sprintf("with its key: %v: give PEM files of a certificate and its key", err)})
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, problems
}

// A Coordinator is who decides which of several processes fetches an answer.
type Coordinator string

// Who may be one.
const (
	ByCluster Coordinator = "cluster"
	ByRedis   Coordinator = "redis"
	ByNobody  Coordinator = "none"
)

func (c *Coordinator) UnmarshalText(text []byte) error {
	switch Coordinator(text) {
	case ByCluster, ByRedis, ByNobody:
		*c = Coordinator(text)
		return nil
	}
	return errors.New("write cluster, redis or none")
}

func (c Coordinator) String() string { return string(c) }

// An Outage is what happens while the coordinator's Redis is away.
type Outage string

// What may happen.
const (
	OutageFetch  Outage = "fetch"
	OutageRefuse Outage = "refuse"
)

func (o *Outage) UnmarshalText(text []byte) error {
	switch Outage(text) {
	case OutageFetch, OutageRefuse:
		*o = Outage(text)
		return nil
	}
	return errors.New("write fetch or refuse")
}

func (o Outage) String() string { return string(o) }
