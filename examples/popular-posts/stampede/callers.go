package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/internal/child"
)

// A caller has a connection of its own to one process of the service.
type caller struct {
	service string // URL
	client  *http.Client
}

type callers []*caller

// newCallers opens the callers' connections, to the processes in turn.
func newCallers(ctx context.Context, services []*child.Process, count int, giveUp time.Duration) (callers, error) {
	all := make(callers, count)
	errs := make([]error, count)
	var opening sync.WaitGroup
	for i := range all {
		all[i] = &caller{service: services[i%len(services)].URL, client: &http.Client{Transport: &http.Transport{}, Timeout: giveUp}}
		opening.Go(func() { errs[i] = all[i].get(ctx, "/healthz", nil) })
	}
	opening.Wait()
	return all, errors.Join(errs...)
}

func (all callers) close() {
	for _, c := range all {
		c.client.CloseIdleConnections()
	}
}

// come lets the callers ask, one each arrival, and waits for what they get.
func (all callers) come(ctx context.Context, arrival time.Duration) *result {
	r := newResult(len(all))
	begin := make(chan struct{})
	var done sync.WaitGroup
	for i, c := range all {
		done.Go(func() {
			<-begin
			pause(ctx, time.Duration(i)*arrival)
			start := time.Now()
			asOf, err := c.ask(ctx)
			end := time.Now()
			r.add(i, end.Sub(start), end.Sub(asOf), err)
		})
	}
	close(begin)
	done.Wait()
	return r
}

// ask asks for the list and gives the time that it is of.
func (c *caller) ask(ctx context.Context) (asOf time.Time, err error) {
	var list struct {
		AsOf  time.Time `json:"as_of"`
		Posts []any
	}
	if err = c.get(ctx, "/posts/popular", &list); err == nil && len(list.Posts) != 10 {
		err = fmt.Errorf("a list of %d posts", len(list.Posts))
	}
	return list.AsOf, err
}

// get reads JSON into a value, unless that is nil.
func (c *caller) get(ctx context.Context, path string, value any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.service+path, nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		var failure *url.Error
		if errors.As(err, &failure) && failure.Timeout() {
			return errGaveUp
		}
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	if value == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(value)
}

// errGaveUp is what a caller says who has waited too long.
var errGaveUp = errors.New("gave up")
