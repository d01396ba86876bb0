package etcd

import (
	"testing"
)

func TestMembersAreShownAsTheySayTheyAreAlsoWithoutAMajority(t *testing.T) {
	configs := members(t, 3)
	var servers []*Server
	for _, config := range configs {
		servers = append(servers, start(t, config))
	}
	ready(t, servers...)
	c := dial(t, Config{Endpoints: []string{configs[0].Client, configs[1].Client, configs[2].Client}, Log: new(logged).logger()})

	all, err := c.Members(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("Members: %d of them, %v; want 3", len(all), err)
	}
	leaders := 0
	for _, m := range all {
		if !m.Reachable || !m.Led || m.Version == "" || m.Bytes == 0 || m.Took <= 0 || m.Cause != "" {
			t.Errorf("a member that serves: %+v", m)
		}
		if m.Leader {
			leaders++
		}
	}
	if leaders != 1 {
		t.Errorf("%d leaders, want 1", leaders)
	}

	servers[0].Stop()
	servers[1].Stop()
	for { // until it has noticed that it is alone
		all, err = c.Members(t.Context())
		if err != nil {
			t.Fatalf("Members with one of three: %v", err)
		}
		led := false
		for _, m := range all {
			led = led || m.Led
		}
		if !led {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the last member still knows a leader")
		}
	}
	for _, m := range all {
		want := m.Name == "m2"
		if m.Reachable != want || (m.Cause == "") != want || len(m.Errors) > 0 || m.Peer != peerOf(configs, m.Name) {
			t.Errorf("with m2 alone: %+v", m)
		}
	}

	servers[2].Stop()
	if _, err := c.Members(t.Context()); err == nil {
		t.Error("Members of an etcd that is gone: no error")
	}
}

func peerOf(configs []Embedded, name string) string {
	for _, config := range configs {
		if config.Name == name {
			return config.Peer
		}
	}
	return ""
}
