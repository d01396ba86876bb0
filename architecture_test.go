package corral_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/corralcache/corral"

// mayImport says, for each package of the product, which others of the product
// it may import. A package that is not listed fails the test: siblings do not
// import each other, and there is no util.
var mayImport = map[string][]string{
	"":                     {"internal/table", "internal/invariant", "internal/pace"},
	"internal/table":       {},
	"internal/invariant":   {},
	"internal/pace":        {},
	"internal/httpsem":     {},
	"internal/placement":   {},
	"internal/docgen":      {},
	"internal/unasked":     {},
	"internal/authority":   {},
	"internal/localserver": {},
	"internal/ramdir":      {},
	"internal/stored":      {""},
	"internal/redisconn":   {},
	"corraltest":           {""},
	"metrics/prom":         {"", "upstream"},
	"metrics/promcluster":  {"coordinator/cluster"},
	"metrics/promlock":     {"coordinator/redislock"},
	"metrics/otel":         {""},
	"httpcache":            {"", "internal/httpsem", "internal/pace", "internal/unasked"},
	"upstream":             {"internal/httpsem", "internal/pace", "internal/unasked"},
	"server":               {"", "coordinator/cluster", "coordinator/redislock", "httpcache", "internal/unasked", "metrics/prom", "store/disk", "store/redis", "upstream"},
	"cmd/corral":           {"coordinator/cluster", "httpcache", "internal/authority", "metrics/prom", "metrics/promcluster", "metrics/promlock", "server", "store/disk", "store/redis"},
	"codec":                {""},
	"store/disk":           {"", "internal/stored"},
	"store/redis":          {"", "internal/redisconn", "internal/stored"},

	"coordinator/marker":    {"", "internal/redisconn", "internal/stored"},
	"coordinator/redislock": {"", "internal/redisconn", "internal/stored"},

	"coordinator/cluster":                   {"", "internal/placement", "coordinator/cluster/core", "coordinator/cluster/internal/etcd", "coordinator/cluster/internal/identity", "coordinator/cluster/internal/peer"},
	"coordinator/cluster/core":              {"", "internal/placement"},
	"coordinator/cluster/sim":               {"", "internal/placement", "coordinator/cluster/core"},
	"coordinator/cluster/faults":            {},
	"coordinator/cluster/faults/node":       {"", "codec", "coordinator/cluster", "coordinator/cluster/faults"},
	"coordinator/cluster/sim/simulate":      {"coordinator/cluster/core", "coordinator/cluster/sim"},
	"coordinator/cluster/internal/etcd":     {"", "internal/placement", "coordinator/cluster/core", "coordinator/cluster/internal/identity"},
	"coordinator/cluster/internal/identity": {},
	"coordinator/cluster/internal/peer":     {"", "coordinator/cluster/core", "coordinator/cluster/internal/identity", "coordinator/cluster/internal/peerpb"},
	"coordinator/cluster/internal/peerpb":   {},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestPackagesImportInTheAgreedDirection(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %q has no line in mayImport: say what it may import", name)
		}
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			imported = strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
			found := false
			for _, a := range allowed {
				found = found || a == imported
			}
			if !found {
				t.Errorf("package %q imports %q, which it may not", name, imported)
			}
		}
	}
}

func TestTheLibraryDependsOnTheStandardLibraryAndTheIndexOnly(t *testing.T) {
	for _, p := range list(t, "-deps", ".") {
		if p.Standard || p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/internal/") {
			continue
		}
		if !strings.HasPrefix(p.ImportPath, "github.com/puzpuzpuz/xsync/v4") {
			t.Errorf("the root depends on %s", p.ImportPath)
		}
	}
}
