module github.com/corralcache/corral/bench

go 1.26.0

require (
	github.com/corralcache/corral v0.0.0
	github.com/maypok86/otter/v2 v2.4.0
)

require github.com/puzpuzpuz/xsync/v4 v4.5.0 // indirect

replace github.com/corralcache/corral => ../
