package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/internal/child"
)

// site is the host that clients of all nodes ask for: it is in the key.
const site = "shop.example"

// The ports of the first node, for clients and for operators, if they are free;
// those of the others follow.
const (
	frontPort = 8081
	adminPort = 9091
)

// The page whose key's owner is killed while it is computed, and how.
const (
	slowProduct  = "/products/43"
	slowQuery    = "?slow=4s" // longer than a dead node's keys are without an owner
	killAfter    = time.Second
	secondWave   = 500 * time.Millisecond // after the kill
	settleWithin = time.Minute
)

// A node is one Corral of the cluster.
type node struct {
	*child.Process
	name string
	args []string // to start it with
}

// cluster starts several nodes before the shop, has all their clients ask for
// one product, kills the node that owns a key while another computes it, and
// purges at one node what another serves.
func (d *demo) cluster(ctx context.Context) error {
	fmt.Fprintf(d.out, "Starting a shop with a slow database, and %d nodes of Corral before it …\n", d.nodes)
	shop, err := child.Start(ctx, d.logs, "shop", d.shop, "-listen", free(shopAddress))
	if err != nil {
		return err
	}
	defer shop.Stop()
	dirs, err := os.MkdirTemp("", "corral-nodes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dirs)
	nodes, err := d.startNodes(ctx, shop.URL, dirs)
	defer stopAll(nodes)
	if err != nil {
		return err
	}
	if err := settled(ctx, nodes); err != nil {
		return err
	}

	var results [2]result
	for i, target := range [][]string{{shop.URL}, urls(nodes)} {
		name := [...]string{"directly", fmt.Sprintf("over %d nodes", d.nodes)}[i]
		fmt.Fprintf(d.out, "%d requests at once for %s, %s …\n", d.clients, product, name)
		if results[i], err = compare(ctx, shop.URL, target, d.clients); err != nil {
			return err
		}
		results[i].name = name
	}
	printTable(d.out, results[0], results[1])
	if err := d.killOwner(ctx, shop, nodes); err != nil {
		return err
	}
	if err := d.purge(ctx, shop, nodes); err != nil {
		return err
	}
	if d.once {
		return check(results[1])
	}
	d.explain(shop, nodes)
	return d.wait(ctx, append(children(nodes), shop)...)
}

// startNodes starts all nodes at once: the first ones wait for each other. Those
// that have been started it gives with an error, too.
func (d *demo) startNodes(ctx context.Context, origin, dirs string) ([]*node, error) {
	addresses, err := freeAddresses(d.nodes)
	if err != nil {
		return nil, err
	}
	nodes := make([]*node, d.nodes)
	errs := make([]error, d.nodes)
	var starting sync.WaitGroup
	for i, address := range addresses {
		name := string(rune('a' + i))
		n := &node{name: name, args: []string{
			"serve", "--origin", origin, "--log.format", "json", "--node.name", name,
			"--cluster.listen", address, "--cluster.peers", strings.Join(addresses, ","), "--cluster.dir", filepath.Join(dirs, name), "--cluster.new", "on",
		}}
		nodes[i] = n
		listen, admin := free(fmt.Sprint("127.0.0.1:", frontPort+i)), free(fmt.Sprint("127.0.0.1:", adminPort+i))
		starting.Go(func() { errs[i] = d.startNode(ctx, n, listen, admin) })
	}
	starting.Wait()
	return nodes, errors.Join(errs...)
}

// startNode starts a node for clients and operators at two addresses.
func (d *demo) startNode(ctx context.Context, n *node, listen, admin string) error {
	started, err := child.Start(ctx, d.logs, "corral-"+n.name, d.corral, append(n.args, "--listen", listen, "--admin.listen", admin)...)
	if err == nil {
		n.Process = started
	}
	return err
}

// freeAddresses are such that nobody listens on at the moment.
func freeAddresses(count int) (addresses []string, err error) {
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func stopAll(nodes []*node) {
	var stopping sync.WaitGroup
	for _, c := range children(nodes) {
		stopping.Go(c.Stop)
	}
	stopping.Wait()
}

func children(nodes []*node) (all []*child.Process) {
	for _, n := range nodes {
		if n.Process != nil {
			all = append(all, n.Process)
		}
	}
	return all
}

func urls(nodes []*node) (all []string) {
	for _, c := range children(nodes) {
		all = append(all, c.URL)
	}
	return all
}

// settled waits until every node has a stream to every other and owns keys.
func settled(ctx context.Context, nodes []*node) error {
	return until(ctx, "all nodes own keys", func() (bool, error) {
		for _, n := range nodes {
			var status struct {
				Standing bool
				Streams  int
				Nodes    []struct{ Owned int }
			}
			if err := n.tell(ctx, "/cluster/status", &status); err != nil {
				return false, err
			}
			owners := 0
			for _, other := range status.Nodes {
				if other.Owned > 0 {
					owners++
				}
			}
			if !status.Standing || status.Streams < len(nodes)-1 || owners < len(nodes) {
				return false, nil
			}
		}
		return true, nil
	})
}

// until asks again and again whether something is so.
func until(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWithin, fmt.Errorf("it has not come to be within %v that %s", settleWithin, what))
	defer cancel()
	for {
		yes, err := is()
		if yes || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell reads what a node's admin listener answers.
func (n *node) tell(ctx context.Context, path string, into any) error {
	return readJSON(ctx, n.Admin+path, into)
}

func readJSON(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// ownerOf is the name of the node that owns the key of a page.
func (n *node) ownerOf(ctx context.Context, page string) (string, error) {
	var answer struct{ Owner string }
	err := n.tell(ctx, "/cluster/partitions?key="+url.QueryEscape("http://"+site+page), &answer)
	return answer.Owner, err
}

// killOwner has a slow product computed by a node that does not own its key, and
// kills the owner meanwhile. Clients of the other two wait, or come after.
func (d *demo) killOwner(ctx context.Context, shop *child.Process, nodes []*node) error {
	page := slowProduct + slowQuery
	owner, others, err := ownerAmong(ctx, nodes, page)
	if err != nil {
		return err
	}
	computes := others[0]
	fmt.Fprintf(d.out, "\n%d requests for %s, which takes 4 s. Node %s owns its key, node %s computes it …\n", d.clients, page, owner.name, computes.name)

	first, waves := make(chan result, 1), make(chan result, 2)
	go func() { first <- burst(ctx, []string{computes.URL + page}, 1) }()
	err = until(ctx, "the product is being computed", func() (bool, error) {
		calls, err := calls(ctx, shop.URL, slowProduct)
		return calls > 0, err
	})
	if err != nil {
		return err
	}
	wave := func(clients int) { waves <- burst(ctx, pages(others, page), clients) }
	go wave(d.clients / 2)
	if err := sleep(ctx, killAfter); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "kill -9 of node %s (pid %d) …\n", owner.name, owner.Pid())
	killed := time.Now()
	owner.Kill()
	if err := sleep(ctx, secondWave); err != nil {
		return err
	}
	go wave(d.clients - d.clients/2 - 1)
	var heir string
	err = until(ctx, "somebody else owns the key", func() (bool, error) {
		heir, err = computes.ownerOf(ctx, page)
		return heir != owner.name && heir != "", err
	})
	if err != nil {
		return err
	}
	owned := time.Since(killed)
	all := merge(<-first, <-waves, <-waves)
	all.name = "killed"
	if all.originCalls, err = calls(ctx, shop.URL, slowProduct); err != nil {
		return err
	}
	fmt.Fprintf(d.out, `
  origin calls  %d
  answered      %d of %d
  errors        %d
  last answer   %s after its request
  new owner     %s, after %s
`, all.originCalls, all.answered, len(all.latencies), len(all.latencies)-all.answered, round(all.percentile(1)), heir, round(owned))
	if err := check(all); err != nil {
		return err
	}
	return d.startAgain(ctx, owner, nodes)
}

// startAgain starts the node that was killed, under its name and addresses.
func (d *demo) startAgain(ctx context.Context, n *node, nodes []*node) error {
	fmt.Fprintf(d.out, "\nStarting node %s again …\n", n.name)
	began := time.Now()
	if err := d.startNode(ctx, n, host(n.URL), host(n.Admin)); err != nil {
		return err
	}
	if err := settled(ctx, nodes); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "It owns keys again %s later.\n", round(time.Since(began)))
	return nil
}

// host is what stands in a URL after its scheme.
func host(url string) string { return strings.TrimPrefix(url, "http://") }

func pages(nodes []*node, page string) (all []string) {
	for _, n := range nodes {
		all = append(all, n.URL+page)
	}
	return all
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explain says what can be tried by hand.
func (d *demo) explain(shop *child.Process, nodes []*node) {
	fmt.Fprintf(d.out, `
All stay up. Try (the host is part of the key, and so the same at all nodes):

`)
	for _, n := range nodes {
		fmt.Fprintf(d.out, "  curl -i -H 'Host: %s' %s/products/7     # node %s\n", site, n.URL, n.name)
	}
	fmt.Fprintf(d.out, `
  curl -X PUT -d 199 %[4]s/products/7/price                          # a new price, which nobody is given yet,
  curl -d '{"url": "http://%[3]s/products/7"}' %[2]s/purge     # until it is purged, at one node for all

  %[1]s cluster status --admin %[2]s
  %[1]s cluster table --admin %[2]s
  %[1]s cluster partitions http://%[3]s/products/7 --admin %[2]s
  curl %[4]s/debug/calls     # the shop's own log of what reached it

  logs: %[5]s

Ctrl-C stops all.
`, d.corral, nodes[0].Admin, site, shop.URL, d.logs)
}
