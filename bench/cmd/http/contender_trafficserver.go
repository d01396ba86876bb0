package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var trafficServer = contender{
	name:     "trafficserver",
	settings: "RAM cache of 256 MiB before a file of 512 MiB, read_while_writer, readers of a locked object retried (open_write_fail_action 5), logging off; Debian has no collapsed_forwarding plugin",
	command:  trafficServerCommand,
}

func trafficServerCommand(d deployment) (*exec.Cmd, error) {
	program, err := installed("traffic_server")
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"run", "log", "cache"} {
		if err := os.Mkdir(filepath.Join(d.dir, dir), 0o777); err != nil {
			return nil, err
		}
	}
	timeouts := ""
	if d.deadline > 0 {
		for _, name := range []string{"connect_attempts_timeout", "transaction_no_activity_timeout_out"} {
			timeouts += fmt.Sprintf("CONFIG proxy.config.http.%s INT %d\n", name, max(1, d.deadline/time.Second))
		}
	}
	for name, text := range map[string]string{
		"etc/remap.config":   "map / http://" + d.origin + "/\n",
		"etc/storage.config": d.dir + "/cache 512M\n",
		"etc/ip_allow.yaml":  "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n",
		"etc/records.config": fmt.Sprintf(trafficServerRecords, d.port()) + timeouts,
	} {
		if _, err := d.write(name, text); err != nil {
			return nil, err
		}
	}
	root, err := d.write("runroot.yaml", fmt.Sprintf(`prefix: %[1]s
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: %[1]s/etc
datadir: %[1]s/cache
includedir: /usr/include
libdir: /usr/lib
libexecdir: /usr/lib/trafficserver/modules
localstatedir: %[1]s/run
runtimedir: %[1]s/run
logdir: %[1]s/log
cachedir: %[1]s/cache
`, d.dir))
	if err != nil {
		return nil, err
	}
	return exec.Command(program, "--run-root="+root), nil
}

// trafficServerRecords is what its handbook asks for to collapse requests
// without a plugin ("Reducing Origin Server Requests"), beside sizes and places.
const trafficServerRecords = `CONFIG proxy.config.http.server_ports STRING %s:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.exec_thread.autoconfig.scale FLOAT 1.0
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.cache.ram_cache.size INT 268435456
CONFIG proxy.config.cache.ram_cache_cutoff INT 33554432
CONFIG proxy.config.cache.enable_read_while_writer INT 1
CONFIG proxy.config.http.background_fill_active_timeout INT 0
CONFIG proxy.config.http.background_fill_completed_threshold FLOAT 0.0
CONFIG proxy.config.cache.max_doc_size INT 0
CONFIG proxy.config.http.cache.open_write_fail_action INT 5
CONFIG proxy.config.http.cache.max_open_read_retries INT 1000
CONFIG proxy.config.http.cache.open_read_retry_time INT 10
`
