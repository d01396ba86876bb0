package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench is one run of the command: an origin, a Corral built from the tree,
// and a directory for what contenders are configured by and write.
type bench struct {
	scale
	rounds  int
	corral  string // the program
	dir     string
	origin  *origin
	allowed []contender
	wrk     bool
	started int // proxies so far: numbers their directories
	urls    int // cold URLs so far
}

// A scale is how much of everything a run has.
type scale struct {
	clients    int           // of a burst
	wait       time.Duration // of the origin before a shared answer
	patience   time.Duration // of the origin before a private answer
	spread     time.Duration // over which visitors come one by one
	visitors   int           // who do
	arriving   time.Duration // in which a slow body does
	latecomers int           // who come meanwhile
	deadline   time.Duration // of a load, where the origin hangs
	held       time.Duration // after which callers give up
	large      int           // bytes of a large body
	readers    int           // of it
	entries    int           // of 1 KiB each
	settling   time.Duration // until memory is measured
	sequence   int           // of requests one after another
	hitting    time.Duration
}

var full = scale{
	clients: 1000, wait: 120 * time.Millisecond, patience: 200 * time.Millisecond,
	spread: 120 * time.Millisecond, visitors: 800, arriving: 2 * time.Second, latecomers: 100,
	deadline: 3 * time.Second, held: 13 * time.Second,
	large: 10 << 20, readers: 200, entries: 50_000, settling: 20 * time.Second, sequence: 2000, hitting: 2 * time.Second,
}

// quick is enough to see that what is asserted holds.
var quick = scale{
	clients: 60, wait: 100 * time.Millisecond, patience: 100 * time.Millisecond,
	spread: 40 * time.Millisecond, visitors: 30, arriving: 400 * time.Millisecond, latecomers: 10,
	deadline: 500 * time.Millisecond, held: 5 * time.Second,
	large: 1 << 20, readers: 20, entries: 500, settling: 100 * time.Millisecond, sequence: 20, hitting: 100 * time.Millisecond,
}

// open builds Corral where it is not given, and starts the origin.
func open(ctx context.Context, b bench, smoke bool) (*bench, error) {
	b.wrk = !smoke
	if smoke {
		b.scale, b.rounds = quick, 1
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "corral-bench-http-"); err != nil {
		return nil, err
	}
	// Servers that give up being root must be able to reach their directories.
	if err = os.Chmod(b.dir, 0o755); err == nil && b.corral == "" {
		b.corral = filepath.Join(b.dir, "corral")
		err = build(ctx, b.corral)
	}
	if err == nil {
		b.origin, err = startOrigin(b.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return &b, nil
}

// build builds the command corral of the module that this one is beside.
func build(ctx context.Context, program string) error {
	found := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/corralcache/corral")
	dir, err := found.Output()
	if err != nil {
		return fmt.Errorf("find the corral module: %w: start this in the directory bench", err)
	}
	builder := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "./cmd/corral")
	builder.Dir = strings.TrimSpace(string(dir))
	if out, err := builder.CombinedOutput(); err != nil {
		return fmt.Errorf("build corral: %w: %s", err, out)
	}
	return nil
}

func (b *bench) close(keep bool) {
	b.origin.stop()
	if !keep {
		os.RemoveAll(b.dir)
	}
}

// measure measures rows and prints each as soon as it is there.
func (b *bench) measure(ctx context.Context, chosen []row, out io.Writer) (report, error) {
	r := report{Head: describe(time.Now(), b)}
	fmt.Fprintln(out, strings.Join(r.Head, "\n")+"\n")
	var broken []error
	for _, row := range chosen {
		s, err := b.measureRow(ctx, row)
		if err != nil {
			broken = append(broken, fmt.Errorf("row %s: %w", row.name, err))
		}
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		fmt.Fprint(out, s.text())
		r.Sections = append(r.Sections, s)
	}
	fmt.Fprint(out, r.verdict())
	return r, errors.Join(broken...)
}

// measureRow starts those of the row's contenders that may take part, and
// measures them in turn.
func (b *bench) measureRow(ctx context.Context, row row) (section, error) {
	began := time.Now()
	s := section{Row: row.name, Title: row.title, How: row.how(b), columns: row.columns}
	var proxies []*proxy
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	for _, name := range row.contenders {
		i := slices.IndexFunc(b.allowed, func(c contender) bool { return c.name == name })
		if i < 0 && name != corralName {
			continue
		}
		p, err := b.start(ctx, named(name), row)
		if err != nil {
			return s, err
		}
		proxies = append(proxies, p)
		s.Lines = append(s.Lines, line{Contender: name, Settings: p.settings})
	}
	rounds := b.rounds
	if row.once {
		rounds = 1
	}
	for round := range rounds {
		for k := range proxies {
			i := (round + k) % len(proxies)
			sample, err := row.measure(ctx, b, proxies[i])
			if err != nil {
				return s, fmt.Errorf("%s: %w", proxies[i].name, err)
			}
			if ctx.Err() != nil {
				return s, ctx.Err()
			}
			s.Lines[i].Samples = append(s.Lines[i].Samples, sample)
		}
	}
	s.Took = time.Since(began)
	row.judge(b, &s)
	return s, s.asserted()
}

// cold is a URL that nobody has asked for yet.
func (b *bench) cold(o order) order {
	b.urls++
	o.path = fmt.Sprintf("/cold/%d", b.urls)
	return o
}
