package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A result is what came of one burst of requests.
type result struct {
	name        string
	originCalls int // by the origin's own log
	answered    int // with status 200
	errors      map[string]int
	latencies   []time.Duration // of all requests, ascending
	wall        time.Duration   // from the first request to the last answer
	bodies      map[string]bool // of those answered
}

// compare sends a burst to targets and asks the shop how many calls it saw.
func compare(ctx context.Context, shop string, targets []string, clients int) (result, error) {
	before, err := calls(ctx, shop, product)
	if err != nil {
		return result{}, err
	}
	var urls []string
	for _, target := range targets {
		urls = append(urls, target+product)
	}
	r := burst(ctx, urls, clients)
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	after, err := calls(ctx, shop, product)
	r.originCalls = after - before
	return r, err
}

// calls is how often a product was asked for, by the shop's own log.
func calls(ctx context.Context, shop, product string) (int, error) {
	var log map[string]struct{ Count int }
	if err := readJSON(ctx, shop+"/debug/calls?path="+product, &log); err != nil {
		return 0, fmt.Errorf("read the shop's log: %w", err)
	}
	return log[product].Count, nil
}

// requestTimeout ends a request that gets no answer.
const requestTimeout = 2 * time.Minute

// burst sends the requests at once, each on a connection of its own, to the
// addresses in turn.
func burst(ctx context.Context, urls []string, clients int) result {
	r := result{errors: map[string]int{}, latencies: make([]time.Duration, clients), bodies: map[string]bool{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: requestTimeout}
	defer client.CloseIdleConnections()

	var mu sync.Mutex // guards r.errors, r.answered and r.bodies
	var done, waiting sync.WaitGroup
	begin := make(chan struct{})
	waiting.Add(clients)
	for i := range clients {
		done.Go(func() {
			waiting.Done()
			<-begin
			start := time.Now()
			body, err := fetch(ctx, client, urls[i%len(urls)])
			r.latencies[i] = time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.errors[err.Error()]++
				return
			}
			r.answered++
			r.bodies[body] = true
		})
	}
	waiting.Wait()
	start := time.Now()
	close(begin)
	done.Wait()
	r.wall = time.Since(start)
	slices.Sort(r.latencies)
	return r
}

func fetch(ctx context.Context, client *http.Client, url string) (body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Host = site
	response, err := client.Do(request)
	if err != nil {
		return "", errors.Unwrap(err) // without the URL, so that equal failures are counted together
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return string(all), err
}

// merge makes one result of several.
func merge(all ...result) result {
	r := result{errors: map[string]int{}, bodies: map[string]bool{}}
	for _, one := range all {
		r.answered += one.answered
		r.latencies = append(r.latencies, one.latencies...)
		maps.Copy(r.bodies, one.bodies)
		for failure, n := range one.errors {
			r.errors[failure] += n
		}
	}
	slices.Sort(r.latencies)
	return r
}

// percentile is the smallest latency that a part of all requests did not
// exceed (nearest rank).
func (r *result) percentile(part float64) time.Duration {
	rank := int(part * float64(len(r.latencies)))
	if float64(rank) < part*float64(len(r.latencies)) {
		rank++
	}
	return r.latencies[max(rank, 1)-1]
}

// check is the claim: every request answered, with one answer, for one call.
func check(corral result) error {
	if n := len(corral.latencies); corral.originCalls != 1 || corral.answered != n || len(corral.bodies) != 1 {
		return fmt.Errorf("through Corral: %d origin calls and %d different answers for %d requests, %d of them answered (%v); want 1, 1 and all",
			corral.originCalls, len(corral.bodies), n, corral.answered, corral.errors)
	}
	return nil
}
