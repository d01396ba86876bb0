package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/corralcache/corral/server"
)

// clusterCommands are "corral cluster …".
type clusterCommands struct {
	Status clusterStatus `cmd:"" help:"Print what a node knows of its cluster and of itself."`
	Table  clusterTable  `cmd:"" help:"Print which node owns how many of the keys, and which partitions."`
	Owner  clusterOwner  `cmd:"" help:"Print which node owns the key of an address."`
}

// askTimeout is how long an admin listener may take to answer.
const askTimeout = 10 * time.Second

// maxAnswer bounds what it may answer, in bytes.
const maxAnswer = 16 << 20

// An adminClient asks the admin listener of a node.
type adminClient struct {
	Admin string `name:"admin" flagonly:"" default:"http://127.0.0.1:9090" placeholder:"URL" help:"Admin listener of a node, as URL or host:port; else ${default}."`
	Token string `name:"token-file" flagonly:"" placeholder:"FILE" help:"File of the token that it asks for."`
	CA    string `name:"ca" flagonly:"" placeholder:"FILE" help:"PEM file of the authorities of its certificate, where it is none of the machine's."`
	Cert  string `name:"cert" flagonly:"" placeholder:"FILE" help:"PEM file of a certificate to show it."`
	Key   string `name:"key" flagonly:"" placeholder:"FILE" help:"PEM file of its key."`
	JSON  bool   `name:"json" flagonly:"" help:"Print what it answers, as JSON."`
}

// get asks for a path. It prints the answer with --json, and otherwise reads it
// into an answer and reports true.
func (a *adminClient) get(s *session, path string, into any) (show bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	body, err := a.ask(ctx, path)
	if err != nil {
		return false, fmt.Errorf("corral: ask %s%s: %w", a.Admin, path, err)
	}
	if a.JSON {
		_, err := s.out.Write(body)
		return false, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("corral: ask %s%s: what answers is no admin listener of corral: %w", a.Admin, path, err)
	}
	return true, nil
}

// url is the listener's, also where only host:port was given, as to admin.listen.
func (a *adminClient) url() string {
	url := strings.TrimSuffix(a.Admin, "/")
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return url
}

func (a *adminClient) ask(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url()+path, nil)
	if err != nil {
		return nil, err
	}
	if a.Token != "" {
		token, err := os.ReadFile(a.Token)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	config, err := a.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		var refused struct{ Error []string }
		json.Unmarshal(body, &refused) // or it says nothing
		err = fmt.Errorf("%s: %s", response.Status, strings.Join(refused.Error, "; "))
	}
	return body, err
}

// tls is how the listener is spoken to, if it speaks TLS.
func (a *adminClient) tls() (*tls.Config, error) {
	config := new(tls.Config)
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca is %q: there is no certificate in it: give a PEM file of certificates", a.CA)
		}
	}
	if a.Cert != "" || a.Key != "" {
		pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
		if err != nil {
			return nil, fmt.Errorf("--cert is %q and --key %q: %w", a.Cert, a.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// clusterStatus is "corral cluster status".
type clusterStatus struct {
	adminClient `embed:""`
}

// Run prints what a node knows.
func (c *clusterStatus) Run(s *session) error {
	var status server.ClusterStatus
	if show, err := c.get(s, "/cluster/status", &status); !show {
		return err
	}
	lease := fmt.Sprintf("for %v more", milliseconds(status.LeaseMS))
	if !status.Standing {
		lease = "none: this node answers and grants nothing"
	}
	fmt.Fprintf(s.out, "cluster    %s, seen by node %s\n", status.Cluster, status.Node)
	fmt.Fprintf(s.out, "lease      %s\n", lease)
	fmt.Fprintf(s.out, "applied    revision %d, table %d\n", status.Revision, status.Epoch)
	fmt.Fprintf(s.out, "partitions %d of %d\n", status.Owned, status.Partitions)
	fmt.Fprintf(s.out, "loads      %d here, %d granted, %d callers wait\n\n", status.Held, status.Granted, status.Waiting)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tSTATE\tSTREAM\tSEEN\tOWNS\tWEIGHT\tADDRESS\tZONE")
	for _, n := range status.Nodes {
		stream := map[bool]string{true: "open", false: "none"}[n.Stream]
		if n.Name == status.Node {
			stream = "itself"
		}
		fmt.Fprintf(table, "%s/%d\t%s\t%s\t%v ago\t%d\t%d\t%s\t%s\n", n.Name, n.Incarnation, n.State, stream, milliseconds(n.SeenMS), n.Owned, n.Weight, n.Address, n.Zone)
	}
	table.Flush()
	fmt.Fprintln(s.out)
	for _, what := range slices.Sorted(maps.Keys(status.Counts)) {
		fmt.Fprintf(s.out, "%-16s %d\n", what, status.Counts[what])
	}
	return nil
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// clusterTable is "corral cluster table".
type clusterTable struct {
	adminClient `embed:""`
}

// Run prints the partitions by owner.
func (c *clusterTable) Run(s *session) error {
	var table server.ClusterTable
	if show, err := c.get(s, "/cluster/table", &table); !show {
		return err
	}
	owned := map[string][]int{}
	for p, partition := range table.Partitions {
		owned[partition.Owner] = append(owned[partition.Owner], p)
	}
	fmt.Fprintf(s.out, "table %d with %d partitions, seen by node %s\n\n", table.Epoch, len(table.Partitions), table.Node)
	out := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "OWNER\tOWNS\tPART\tPARTITIONS")
	for _, owner := range slices.Sorted(maps.Keys(owned)) {
		name := owner
		if name == "" {
			name = "nobody"
		}
		fmt.Fprintf(out, "%s\t%d\t%.1f%%\t%s\n", name, len(owned[owner]), 100*float64(len(owned[owner]))/float64(len(table.Partitions)), ranges(owned[owner]))
	}
	return out.Flush()
}

// shownRanges is how many ranges of partitions are printed of one owner.
const shownRanges = 12

// ranges writes ascending numbers as 1-3, 7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		switch {
		case len(parts) == shownRanges:
			return strings.Join(append(parts, "…"), ", ")
		case end == i:
			parts = append(parts, fmt.Sprint(numbers[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[end]))
		}
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

// clusterOwner is "corral cluster owner".
type clusterOwner struct {
	adminClient `embed:""`
	URL         string `arg:"" help:"Address, with scheme and host, as https://www.example.com/news."`
}

// Run prints the name of the node that owns the key of an address.
func (c *clusterOwner) Run(s *session) error {
	var owner server.ClusterOwner
	if show, err := c.get(s, "/cluster/owner?url="+url.QueryEscape(c.URL), &owner); !show {
		return err
	}
	if owner.Owner == "" {
		return fmt.Errorf("corral: nobody owns %q at the moment: try again", owner.Key)
	}
	fmt.Fprintln(s.out, owner.Owner)
	return nil
}
