package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

var workerd = contender{
	name:     "workerd",
	settings: "one Durable Object a URL that holds the answer in memory and lets one request fetch it (workerd/worker.js)",
	command: func(d deployment) (*exec.Cmd, error) {
		program, err := workerdProgram()
		if err != nil {
			return nil, err
		}
		if _, err := d.write("worker.js", workerScript); err != nil {
			return nil, err
		}
		text := strings.NewReplacer("LISTEN_ADDRESS", d.listen, "ORIGIN_ADDRESS", d.origin).Replace(workerConfig)
		config, err := d.write("config.capnp", text)
		if err != nil {
			return nil, err
		}
		return exec.Command(program, "serve", config), nil
	},
}

//go:embed workerd/worker.js
var workerScript string

//go:embed workerd/config.capnp
var workerConfig string

// workerdProgram is where npm ci puts it, beside this file.
func workerdProgram() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("find workerd: this program was built without the places of its files")
	}
	dir := filepath.Join(filepath.Dir(file), "workerd")
	found, err := filepath.Glob(filepath.Join(dir, "node_modules", "@cloudflare", "workerd-*", "bin", "workerd"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("workerd is missing: run make bench-http or npm ci in %s, or leave it out by -rivals", dir)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
