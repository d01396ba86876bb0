package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// A drained is an admin listener that shows one status after the other of node b.
type drained struct {
	asked  []string
	order  int // the status of the answer to the order
	states []string
}

func (d *drained) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		d.asked = append(d.asked, r.RequestURI)
		if d.order != http.StatusOK {
			w.WriteHeader(d.order)
			fmt.Fprint(w, `{"error":["start another"]}`)
			return
		}
		fmt.Fprint(w, `{"node":"b","draining":true}`)
		return
	}
	fmt.Fprintf(w, `{"node":"a","standing":true,"partitions":8,"nodes":[{"name":"a","state":"live","owned":4},%s]}`, d.states[0])
	if len(d.states) > 1 {
		d.states = d.states[1:]
	}
}

func TestDrainWaitsUntilTheKeysHaveMoved(t *testing.T) {
	b := func(state string, owned int) string {
		return fmt.Sprintf(`{"name":"b","state":%q,"owned":%d,"weight":1}`, state, owned)
	}
	client := func(state string) string { return fmt.Sprintf(`{"name":"b","state":%q}`, state) }
	for what, row := range map[string]struct {
		args   []string
		order  int
		states []string
		code   int
		asked  string
		out    string // all of it; errors: a part
		errs   string
	}{
		"its keys move": {nil, 200, []string{b("live", 4), b("draining", 4), b("draining", 4), b("draining", 0)}, 0, "/cluster/drain?node=b",
			"node b is live and owns 4 of 8 partitions\nnode b is draining and owns 0 of 8 partitions\n", ""},
		"it owned nothing":  {nil, 200, []string{b("draining", 0)}, 0, "/cluster/drain?node=b", "node b is draining and owns 0 of 8 partitions\n", ""},
		"it is a client":    {nil, 200, []string{client("draining")}, 0, "/cluster/drain?node=b", "node b is draining and owns 0 of 8 partitions\n", ""},
		"undone":            {[]string{"--undo"}, 200, []string{b("draining", 0), b("live", 0), b("live", 3)}, 0, "/cluster/drain?node=b&undo=on", "node b is draining and owns 0 of 8 partitions\nnode b is live and owns 3 of 8 partitions\n", ""},
		"undone, a client":  {[]string{"--undo"}, 200, []string{client("live")}, 0, "/cluster/drain?node=b&undo=on", "node b is live and owns 0 of 8 partitions\n", ""},
		"it is the last":    {nil, 409, nil, 1, "/cluster/drain?node=b", "", "409 Conflict: start another"},
		"it takes too long": {[]string{"--timeout", "300ms"}, 200, []string{b("draining", 4)}, 1, "/cluster/drain?node=b", "node b is draining and owns 4 of 8 partitions\n", "the order holds"},
		"it goes meanwhile": {nil, 200, []string{`{"name":"c"}`}, 1, "/cluster/drain?node=b", "", "node b is gone"},
		"as JSON":           {[]string{"--json"}, 200, []string{b("live", 4), b("draining", 0)}, 0, "/cluster/drain?node=b", `{"node":"b","draining":true}`, ""},
	} {
		t.Run(what, func(t *testing.T) {
			d := &drained{order: row.order, states: row.states}
			admin := httptest.NewServer(d)
			defer admin.Close()
			code, out, errs := corral(t, append([]string{"cluster", "drain", "b", "--admin", admin.URL}, row.args...)...)
			if code != row.code || out != row.out || !strings.Contains(errs, row.errs) || !slices.Equal(d.asked, []string{row.asked}) {
				t.Errorf("exit code %d after %v\n%s%s; want %d after %s\n%s%s", code, d.asked, out, errs, row.code, row.asked, row.out, row.errs)
			}
		})
	}
}

func TestCommandsFailWhereTheClusterHasNoQuorum(t *testing.T) {
	answers := map[string]string{
		"/cluster/status":           `{"node":"a","standing":false}`,
		"/cluster/table":            `{"node":"a","standing":false,"partitions":[{"owner":"a"}]}`,
		"/cluster/partitions?key=k": `{"node":"a","standing":false,"key":"k","owner":"a"}`,
		"/cluster/members": `{"node":"a","standing":false,"nodes":[{"name":"a"}],"etcd":[{"name":"h:1","role":"no-leader"},
			{"name":"h:2","role":"unreachable","cause":"refused"},{"name":"h:3","role":"unreachable","cause":"refused"}]}`,
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":["no lease"]}`)
			return
		}
		fmt.Fprint(w, answers[r.RequestURI])
	}))
	defer admin.Close()
	for _, row := range []struct {
		args      []string
		out, errs string
	}{
		{[]string{"status"}, "lease      none", "node a has no lease"},
		{[]string{"status", "--json"}, answers["/cluster/status"], "node a has no lease"},
		{[]string{"table"}, "a      1     100.0%", "node a has no lease"},
		{[]string{"partitions", "k"}, "owner      a/0", "node a has no lease"},
		{[]string{"members"}, "h:1   no-leader", "etcd has no leader: 1 of its 3 members answer, 2 are needed"},
		{[]string{"drain", "b"}, "", "503 Service Unavailable: no lease"},
	} {
		code, out, errs := corral(t, append(append([]string{"cluster"}, row.args...), "--admin", admin.URL)...)
		if code != exitFailed || !strings.Contains(out, row.out) || !strings.Contains(errs, row.errs) {
			t.Errorf("corral cluster %v: exit code %d\n%s%s; want %d, %q and %q", row.args, code, out, errs, exitFailed, row.out, row.errs)
		}
	}
}

func TestMembersFailsWhereNoMemberOfEtcdAnswers(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"node":"a","standing":false,"nodes":[{"name":"a"}],"etcd":[],"etcd_error":"refused by all"}`)
	}))
	defer admin.Close()
	if code, out, errs := corral(t, "cluster", "members", "--admin", admin.URL); code != exitFailed || !strings.Contains(out, "a/0") || !strings.Contains(errs, "node a reaches no member of etcd: refused by all") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
