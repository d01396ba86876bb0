package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	bodies      int             // different ones among those answered
}

// compare sends a burst to target and asks the shop how many calls it saw.
func compare(ctx context.Context, shop, target string, clients int) (result, error) {
	before, err := calls(ctx, shop)
	if err != nil {
		return result{}, err
	}
	r := burst(ctx, target+product, clients)
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	after, err := calls(ctx, shop)
	r.originCalls = after - before
	return r, err
}

// calls is how often the product was asked for, by the shop's own log.
func calls(ctx context.Context, shop string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, shop+"/debug/calls?path="+product, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the shop's log: %w", err)
	}
	defer response.Body.Close()
	var log map[string]struct{ Count int }
	if err := json.NewDecoder(response.Body).Decode(&log); err != nil {
		return 0, fmt.Errorf("read the shop's log: %w", err)
	}
	return log[product].Count, nil
}

// requestTimeout ends a request that gets no answer.
const requestTimeout = 2 * time.Minute

// burst sends the requests at once, each on a connection of its own.
func burst(ctx context.Context, url string, clients int) result {
	r := result{errors: map[string]int{}, latencies: make([]time.Duration, clients)}
	bodies := map[string]bool{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: requestTimeout}
	defer client.CloseIdleConnections()

	var mu sync.Mutex // guards r.errors, r.answered and bodies
	var done, waiting sync.WaitGroup
	begin := make(chan struct{})
	waiting.Add(clients)
	for i := range clients {
		done.Go(func() {
			waiting.Done()
			<-begin
			start := time.Now()
			body, err := fetch(ctx, client, url)
			r.latencies[i] = time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.errors[err.Error()]++
				return
			}
			r.answered++
			bodies[body] = true
		})
	}
	waiting.Wait()
	start := time.Now()
	close(begin)
	done.Wait()
	r.wall = time.Since(start)
	r.bodies = len(bodies)
	slices.Sort(r.latencies)
	return r
}

func fetch(ctx context.Context, client *http.Client, url string) (body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
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
	if n := len(corral.latencies); corral.originCalls != 1 || corral.answered != n || corral.bodies != 1 {
		return fmt.Errorf("through Corral: %d origin calls and %d different answers for %d requests, %d of them answered (%v); want 1, 1 and all",
			corral.originCalls, corral.bodies, n, corral.answered, corral.errors)
	}
	return nil
}
