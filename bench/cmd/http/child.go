package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// childVariable, in the environment, says what a process of this program is
// that serves in a process of its own.
const childVariable = "CORRAL_BENCH_HTTP_CHILD"

func inChild() bool { return os.Getenv(childVariable) != "" }

// serveChild is main in a child process.
func serveChild(out, log io.Writer) int {
	var err error
	switch role := os.Getenv(childVariable); role {
	case "origin":
		err = serveOrigin(out)
	case "proxy":
		err = servePlainProxy(os.Args[1], os.Args[2])
	default:
		err = fmt.Errorf("%s=%q: there is no such child", childVariable, role)
	}
	fmt.Fprintln(log, err)
	return 1
}

// child is a command that runs this program as a child.
func child(role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	return cmd, nil
}

// An origin is the process that all contenders stand before.
type origin struct {
	*process
	addresses
}

func startOrigin(dir string) (*origin, error) {
	cmd, err := child("origin")
	if err != nil {
		return nil, err
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(cmd, filepath.Join(dir, "origin.log"))
	if err != nil {
		return nil, err
	}
	o := &origin{process: p}
	if err := json.NewDecoder(told).Decode(&o.addresses); err != nil {
		p.stop()
		return nil, fmt.Errorf("start the origin: %w: %s", err, p.lastWords())
	}
	return o, nil
}

// calls is how often the origin was asked for an order.
func (o *origin) calls(ctx context.Context, order order) (int, error) {
	answer, err := o.ask(ctx, http.MethodGet, "/calls?of="+url.QueryEscape(order.uri()))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(answer)
}

// heal says whether what hangs is answered from now on.
func (o *origin) heal(ctx context.Context, healed bool) error {
	_, err := o.ask(ctx, http.MethodPost, "/healed/"+strconv.FormatBool(healed))
	return err
}

func (o *origin) ask(ctx context.Context, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+o.Control+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}
