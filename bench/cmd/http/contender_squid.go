package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

var squid = contender{
	name:     "squid",
	settings: "collapsed_forwarding on, memory cache of 256 MiB, no disk, access_log none, one process",
	command: func(d deployment) (*exec.Cmd, error) {
		program, err := installed("squid")
		if err != nil {
			return nil, err
		}
		timeouts := ""
		if d.deadline > 0 {
			seconds := max(1, d.deadline/time.Second)
			timeouts = fmt.Sprintf("connect_timeout %[1]d seconds\nread_timeout %[1]d seconds\nforward_timeout %[1]d seconds\n", seconds)
		}
		config, err := d.write("squid.conf", fmt.Sprintf(`http_port %[2]s accel defaultsite=%[5]s no-vhost
cache_peer 127.0.0.1 parent %[3]s 0 no-query no-digest no-netdb-exchange originserver name=origin
cache_peer_access origin allow all
http_access allow all
collapsed_forwarding on
cache_mem 256 MB
maximum_object_size_in_memory 32 MB
memory_cache_shared off
access_log none
cache_log %[1]s/cache.log
pid_filename %[1]s/squid.pid
coredump_dir %[1]s
max_filedescriptors 16384
client_db off
shutdown_lifetime 0 seconds
pinger_enable off
%[4]s`, d.dir, d.listen, d.toPort(), timeouts, host))
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(program, "-N", "-f", config)
		cmd.SysProcAttr, err = squidUser()
		return cmd, err
	},
}

// squidUser lets Squid begin as the user that it would become, for it refuses
// to be root.
func squidUser() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	proxy, err := user.Lookup("proxy")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(proxy.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(proxy.Gid, 10, 32)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, err
}
