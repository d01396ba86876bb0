package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// clusterCommands are "corral cluster …".
type clusterCommands struct {
	Status     clusterStatus  `cmd:"" help:"Print what a node knows of its cluster and of itself."`
	Members    clusterMembers `cmd:"" help:"Print the nodes, and the members of etcd."`
	Table      clusterTable   `cmd:"" help:"Print which node owns how many of the keys, and which partitions."`
	Partitions clusterKey     `cmd:"" help:"Print where a key is: its partition, its owner, and who computes it."`
	Drain      clusterDrain   `cmd:"" help:"Make a node give its keys away and stay as one that owns none."`
	Certs      clusterCerts   `cmd:"" help:"Make an authority and certificates for the nodes of a cluster, to try it."`
}

// askTimeout is how long an admin listener may take to answer.
const askTimeout = 6 * time.Second

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

// ask makes a request, reads the answer into one, and gives it as it came too.
func (a *adminClient) ask(s *session, method, path string, into any) (raw []byte, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	if raw, err = a.request(ctx, method, path); err != nil {
		return nil, fmt.Errorf("corral: ask %s%s: %w", a.Admin, path, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, fmt.Errorf("corral: ask %s%s: what answers is no admin listener of corral: %w", a.Admin, path, err)
	}
	return raw, nil
}

// show asks for a path and prints the answer: with --json as it came, else by
// print.
func (a *adminClient) show(s *session, path string, into any, print func()) error {
	raw, err := a.ask(s, http.MethodGet, path, into)
	if err != nil {
		return err
	}
	if a.JSON {
		_, err = s.out.Write(raw)
		return err
	}
	print()
	return nil
}

// withLease is the error of what was answered by a node without a lease: it
// says what it knew last.
func withLease(node string, standing bool) error {
	if standing {
		return nil
	}
	return fmt.Errorf("corral: node %s has no lease, and what it says may be out of date: corral cluster members shows whether etcd has a majority", node)
}

// url is the listener's, also where only host:port was given, as to admin.listen.
func (a *adminClient) url() string {
	url := strings.TrimSuffix(a.Admin, "/")
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return url
}

func (a *adminClient) request(ctx context.Context, method, path string) ([]byte, error) {
	body, err := a.stream(ctx, method, path, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, maxAnswer))
}

// stream makes a request and gives the content of the answer, which ends with ctx
// and which the caller closes. An answer other than 200 is an error.
func (a *adminClient) stream(ctx context.Context, method, path string, content io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.url()+path, content)
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
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var refused struct{ Error []string }
	json.Unmarshal(body, &refused) // or it says nothing
	return nil, fmt.Errorf("%s: %s", response.Status, strings.Join(refused.Error, "; "))
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
