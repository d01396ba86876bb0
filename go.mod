module github.com/corralcache/corral

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/puzpuzpuz/xsync/v4 v4.5.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)
