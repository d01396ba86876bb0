package server

import (
	"path/filepath"
	"sync"
	"time"
)

// Bounds of settings of the stores and of the coordinator in Redis, which are
// theirs.
const (
	minStoreBytes Bytes = 1 << 20
	maxRedisValue Bytes = 256 << 20
	minRedisLease       = 3 * time.Second
	maxRedisLease       = time.Minute
	maxReplicas         = 100
)

// store checks the settings of the one store that there may be.
func (v *validation) store() {
	v.wrong(v.StoreMaxBytes < minStoreBytes, "store.max-bytes", "set %s or more", minStoreBytes)
	v.wrong(v.StoreTimeout < 0, "store.timeout", "set a time above 0, or 0 for the default")
	v.wrong(v.StoreReplicas < 0 || v.StoreReplicas > maxReplicas, "store.redis.wait-replicas", "set a number of replicas, or 0 for none")
	v.wrong(v.StoreDir != "" && v.StoreRedis.URL != "", "store.redis.url", "store.dir is set as well, and there is one store: leave one of the two out")
	v.wrong(v.StoreDir != "" && v.ClusterDir != "" && filepath.Clean(v.StoreDir) == filepath.Clean(v.ClusterDir), "store.dir", "it is the directory of cluster.dir; the two need one each")
	if v.StoreDir == "" {
		v.unused("store.dir", "store.max-bytes")
	}
	if v.StoreRedis.URL == "" {
		v.unused("store.redis.url", "store.redis.wait-replicas")
	}
	if v.StoreDir == "" && v.StoreRedis.URL == "" {
		v.unused("store.dir or store.redis.url", "store.timeout")
	}
	v.redis("store.redis", &v.StoreRedis)
}

// coordinator checks who decides which process fetches.
func (v *validation) coordinator() {
	v.wrong(v.Coordinator == ByCluster && v.Cluster.off(), "coordinator", "cluster.listen is not set: set it to the address at which the other nodes reach this one")
	v.wrong(v.Coordinator == ByNobody && !v.Cluster.off(), "coordinator", "cluster.listen is set: leave one of the two out")
	v.wrong(v.Coordinator == ByRedis && !v.Cluster.off(), "coordinator", "cluster.listen is set as well, and one of the two decides: leave the other out")
	v.wrong(v.Coordinator == ByRedis && v.Redis.URL == "", "redis.url", "coordinator is redis: set where that is, as redis://127.0.0.1:6379")
	v.wrong(v.RedisLease < minRedisLease || v.RedisLease > maxRedisLease, "redis.lease", "set between %v and %v", minRedisLease, maxRedisLease)
	v.wrong(v.MirrorBytes > 0 && v.Cluster.off(), "mirror-bytes", "cluster.listen is not set, so that no other node owns anything: leave this out")
	v.above(v.MaxBytes > 0 && v.MirrorBytes > v.MaxBytes, "mirror-bytes", "max-bytes")
	if v.Coordinator != ByRedis {
		for _, name := range []string{"redis.url", "redis.lease", "redis.outage"} {
			v.wrong(v.changed(name), name, "coordinator is not redis: set that too, or, for a store alone, store.redis.url")
		}
	}
	for _, name := range []string{"store.dir", "store.redis.url"} {
		v.wrong(v.Coordinator == ByRedis && v.settings[name].String() != "", name, "with the coordinator redis answers survive in its Redis: leave this out")
	}
	v.redis("redis", &v.Redis)
}

// redis checks the settings of one Redis.
func (v *validation) redis(name string, r *Redis) {
	v.wrong(r.MaxValueBytes < 1 || r.MaxValueBytes > maxRedisValue, name+".max-value-bytes", "set between 1 and %s", maxRedisValue)
	v.wrong(r.Prefix == "", name+".prefix", "set one, as corral: , so that nothing else in that Redis is meant")
	if r.URL == "" {
		v.unused(name+".url", name+".sentinel-master", name+".password-file", name+".sentinel-password-file", name+".tls-ca", name+".tls-cert", name+".tls-key", name+".prefix", name+".max-value-bytes")
		return
	}
	_, problems := r.config()
	for _, p := range problems {
		v.wrong(true, name+"."+p.field, "%s", p.remedy)
	}
}

// unused reports settings that were changed and mean nothing without another one.
func (v *validation) unused(without string, names ...string) {
	for _, name := range names {
		v.wrong(v.changed(name), name, "%s is not set, and without it this means nothing: set that too, or leave this out", without)
	}
}

// changed reports whether a setting has another value than by default. What
// config show prints has them all.
func (v *validation) changed(name string) bool {
	setting := v.settings[name]
	return setting.String() != defaultTexts()[name]
}

// defaultTexts are the values of settings by default, as String gives them.
var defaultTexts = sync.OnceValue(func() map[string]string {
	texts, c := map[string]string{}, Defaults()
	for _, s := range c.Settings() {
		texts[s.Name] = s.String()
	}
	return texts
})
