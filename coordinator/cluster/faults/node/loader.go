package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// A loader asks the test's origin, over a Unix socket: files are seen from every
// network namespace.
type loader struct {
	client http.Client
	node   string
	calls  atomic.Uint64
}

func newLoader(socket, node string) *loader {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &loader{client: http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64}}, node: node}
}

// Load gives a key "tag/rest" its tag.
func (l *loader) Load(ctx context.Context, key string, _ *corral.Item[[]byte]) (item corral.Item[[]byte], err error) {
	if tag, _, tagged := strings.Cut(key, "/"); tagged {
		item.Tags = []string{tag}
	}
	item.Value, err = l.load(ctx, key)
	return item, err
}

// load is one call, which the origin writes down under the node's name and the
// call's number.
func (l *loader) load(ctx context.Context, key string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://origin/"+url.PathEscape(key), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Node", l.node)
	request.Header.Set("Call", fmt.Sprint(l.calls.Add(1)))
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the origin answered %s", response.Status)
	}
	return body, nil
}
