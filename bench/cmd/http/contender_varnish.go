package main

import (
	"fmt"
	"os/exec"
	"time"
)

var varnish = contender{
	name:     "varnish",
	settings: "malloc storage of 256 MiB, else as shipped (grace 10 s, threads 2 × 100 to 2 × 5,000)",
	command: func(d deployment) (*exec.Cmd, error) {
		program, err := installed("varnishd")
		if err != nil {
			return nil, err
		}
		timeout := ""
		if d.deadline > 0 {
			timeout = fmt.Sprintf(".first_byte_timeout = %[1]dms; .between_bytes_timeout = %[1]dms; .connect_timeout = %[1]dms;", d.deadline/time.Millisecond)
		}
		vcl, err := d.write("default.vcl", fmt.Sprintf(`vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "%s"; %s }
`, d.toPort(), timeout))
		if err != nil {
			return nil, err
		}
		return exec.Command(program, "-F", "-j", "none", "-n", d.dir, "-a", d.listen, "-T", d.admin,
			"-s", "malloc,256m", "-f", vcl), nil
	},
}
