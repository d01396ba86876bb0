// Command node is one process of a cluster whose faults are tested: it joins,
// opens a cache that loads from the test's origin, and does what its standard
// input tells it (faults.Command). It ends with its standard input, so that a
// test that dies leaves nothing behind.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// joinWithin is for how long a node tries to join.
const joinWithin = time.Minute

func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) error {
	var config cluster.Config
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.StringVar(&config.Name, "name", "", "of the node")
	flags.StringVar(&config.Listen, "listen", "", "where the other nodes reach it, host:port")
	flags.StringVar(&config.Dir, "dir", "", "its directory")
	flags.StringVar(&config.EtcdListen, "etcd-listen", "", "where its member of etcd listens, HOST:PEERPORT,CLIENTPORT")
	peers := flags.String("peers", "", "the first nodes, host:port, with commas between")
	external := flags.String("etcd", "", "the endpoints of an etcd that is there, host:port, with commas between; instead of -peers")
	store := flags.String("store", "", "the directory in which values survive")
	origin := flags.String("origin", "", "the origin's socket")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config.New = true
	config.InsecurePlaintext = true // namespaces of this machine are networks to it
	if *external != "" {
		config.Etcd = strings.Split(*external, ",")
	} else {
		config.Peers = strings.Split(*peers, ",")
	}
	config.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))

	joining, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	node, err := cluster.Join(joining, config)
	if err != nil {
		return err
	}
	s := &subject{node: node, loader: newLoader(*origin, config.Name), out: json.NewEncoder(out)}
	if config.EtcdListen != "" {
		s.etcdClient = clientOf(config.EtcdListen)
	}
	if *store != "" {
		if s.store, err = openFiles(*store); err != nil {
			return err
		}
	}
	if err := s.open(joining); err != nil {
		return err
	}
	return s.obey(in)
}

// clientOf is the client's address in HOST:PEERPORT,CLIENTPORT.
func clientOf(listen string) string {
	first, port, _ := strings.Cut(listen, ",")
	host, _, _ := strings.Cut(first, ":")
	return host + ":" + port
}
