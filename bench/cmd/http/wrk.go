package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// wrk runs the load generator of that name with two threads.
func wrk(ctx context.Context, clients int, d time.Duration, url string) (s sample, requests float64, err error) {
	program, err := installed("wrk")
	if err != nil {
		return nil, 0, err
	}
	seconds := max(1, int(d.Seconds()))
	cmd := exec.CommandContext(ctx, program, "-t2", fmt.Sprintf("-c%d", clients), fmt.Sprintf("-d%ds", seconds), "--latency",
		"-H", "Host: "+host, url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, 0, fmt.Errorf("run wrk: %w: %s", err, out)
	}
	return readWrk(string(out))
}

var (
	wrkRate     = regexp.MustCompile(`Requests/sec: +([0-9.]+)`)
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkFailures = regexp.MustCompile(`(?:Non-2xx or 3xx responses|Socket errors):.*`)
	wrkQuantile = regexp.MustCompile(`(?m)^ +(50|99)% +([0-9.]+)(us|ms|s)`)
)

// readWrk reads what wrk printed.
func readWrk(out string) (s sample, requests float64, err error) {
	if failure := wrkFailures.FindString(out); failure != "" {
		return nil, 0, fmt.Errorf("wrk reports %s", failure)
	}
	s = sample{}
	for _, m := range wrkQuantile.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2] + m[3])
		if err != nil {
			return nil, 0, fmt.Errorf("read wrk's %s%%: %w", m[1], err)
		}
		s["p"+m[1]] = milliseconds(d)
	}
	rate, count := wrkRate.FindStringSubmatch(out), wrkRequests.FindStringSubmatch(out)
	if rate == nil || count == nil || len(s) != 2 {
		return nil, 0, fmt.Errorf("wrk printed %q: no rate, requests, 50%% and 99%% in it", out)
	}
	if s["rate"], err = strconv.ParseFloat(rate[1], 64); err != nil {
		return nil, 0, err
	}
	requests, err = strconv.ParseFloat(count[1], 64)
	return s, requests, err
}
