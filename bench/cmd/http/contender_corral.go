package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
)

var corral = contender{
	name:     corralName,
	settings: "corral serve --access-log off --origin.max-conns 0 --max-loads 1024 (the others have no such limits), else as shipped (256 MiB)",
	command: func(d deployment) (*exec.Cmd, error) {
		args := []string{
			"serve", "--origin", "http://" + d.origin, "--listen", d.listen, "--admin.listen", d.admin,
			"--access-log", "off", "--log.level", "error", "--origin.max-conns", "0", "--max-loads", "1024",
		}
		if d.deadline > 0 {
			args = append(args, "--load-timeout", d.deadline.String(), "--origin.connect-timeout", d.deadline.String())
		}
		return exec.Command(d.corral, args...), nil
	},
}

// plainProxy is what Go has for a proxy without a cache: what Corral's passes
// can at best cost on the same HTTP stack.
var plainProxy = contender{
	name:     "go-plain",
	settings: "net/http/httputil.ReverseProxy, connections without limit",
	command:  func(d deployment) (*exec.Cmd, error) { return child("proxy", d.listen, d.origin) },
}

func servePlainProxy(listen, origin string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true}
	return http.Serve(l, proxy)
}
