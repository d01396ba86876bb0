package main

import (
	"fmt"
	"os/exec"
	"time"
)

var nginx = contender{
	name:     "nginx",
	settings: "proxy_cache with proxy_cache_lock, use_stale updating, background_update, keepalive to the origin, access_log off, one worker a processor; bodies lie in files",
	command:  func(d deployment) (*exec.Cmd, error) { return nginxCommand(d, nginxCaching) },
}

var nginxPlain = contender{
	name:     "nginx-plain",
	settings: "as nginx, without proxy_cache",
	command:  func(d deployment) (*exec.Cmd, error) { return nginxCommand(d, "") },
}

const nginxCaching = `
            proxy_cache answers;
            proxy_cache_key $scheme$host$request_uri;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;`

func nginxCommand(d deployment, caching string) (*exec.Cmd, error) {
	program, err := installed("nginx")
	if err != nil {
		return nil, err
	}
	timeout := ""
	if d.deadline > 0 {
		timeout = fmt.Sprintf("proxy_read_timeout %dms; proxy_connect_timeout %[1]dms;", d.deadline/time.Millisecond)
	}
	config, err := d.write("nginx.conf", fmt.Sprintf(`
daemon off;
user root; # its files are in a directory of root
pid %[1]s/nginx.pid;
error_log %[1]s/error.log error;
worker_processes auto;
worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    proxy_cache_path %[1]s/cache levels=1:2 keys_zone=answers:64m max_size=1g inactive=1h use_temp_path=off;
    upstream origin {
        server %[3]s;
        keepalive 1024;
        keepalive_requests 100000000;
    }
    server {
        listen %[2]s backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            %[4]s%[5]s
        }
    }
}
`, d.dir, d.listen, d.origin, timeout, caching))
	if err != nil {
		return nil, err
	}
	return exec.Command(program, "-e", d.dir+"/error.log", "-p", d.dir, "-c", config), nil
}
