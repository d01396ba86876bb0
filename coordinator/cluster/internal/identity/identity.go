package identity

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the files are looked at.
	lookEvery = 10 * time.Second

	// warnBefore a certificate ends the log says so, once in warnEvery.
	warnBefore = 14 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
)

// Files are the paths of PEM files.
type Files struct {
	Cert string // this node's certificate, before those of its chain
	Key  string // its key
	CA   string // the authorities' certificates
}

// An Identity is what the files said when they were last of use. Its methods may
// be called at once.
type Identity struct {
	files Files
	hosts []string
	log   *slog.Logger

	inUse atomic.Pointer[state]

	mu        sync.Mutex // one looks at a time
	complaint string     // what was wrong with the files when they were last looked at
	warned    time.Time  // of the end
	changed   []func(authorities bool)
}

// Read reads the files. The hosts are those by which other nodes call this one.
func Read(files Files, log *slog.Logger, hosts ...string) (*Identity, []*Problem) {
	s, problems := files.load(hosts)
	if len(problems) > 0 {
		return nil, problems
	}
	i := &Identity{files: files, hosts: hosts, log: log}
	i.inUse.Store(s)
	i.warn(time.Now())
	return i, nil
}

// Check reports what is wrong with files.
func Check(files Files, hosts ...string) []*Problem {
	_, problems := files.load(hosts)
	return problems
}

func (f Files) load(hosts []string) (*state, []*Problem) {
	c, problems := f.read()
	if len(problems) > 0 {
		return nil, problems
	}
	s, problem := f.parse(c, time.Now(), hosts)
	if problem != nil {
		return nil, []*Problem{problem}
	}
	return s, nil
}

// read reads the files as they are.
func (f Files) read() (c contents, problems []*Problem) {
	for _, one := range []struct {
		field, path string
		into        *[]byte
	}{{"Cert", f.Cert, &c.cert}, {"Key", f.Key, &c.key}, {"CA", f.CA, &c.ca}} {
		text, err := os.ReadFile(one.path)
		if err != nil {
			problems = append(problems, &Problem{one.field, one.path, fmt.Sprintf("%v: give the path of a PEM file that this user may read", err)})
		}
		*one.into = text
	}
	return c, problems
}

// Ends is when this node's certificate ends, or one of those that vouch for it.
func (i *Identity) Ends() time.Time { return i.inUse.Load().ends }

// PEM is what is in use: the certificate with its chain and its key in one text,
// and the authorities.
func (i *Identity) PEM() (pair, authorities []byte) {
	s := i.inUse.Load()
	pair = append(append(append([]byte{}, s.cert...), '\n'), s.key...)
	return pair, s.ca
}

// OnChange has do called after each change, and told whether the authorities are
// others than before.
func (i *Identity) OnChange(do func(authorities bool)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changed = append(i.changed, do)
}

// Watch looks at the files until ctx ends.
func (i *Identity) Watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			i.Look()
		case <-ctx.Done():
			return
		}
	}
}

// Look uses what is in the files from now on, if it is of use: I1. It says once
// what is wrong with it.
func (i *Identity) Look() {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() { i.warn(time.Now()) }()
	before := i.inUse.Load()
	c, problems := i.files.read()
	if len(problems) > 0 {
		i.refused(problems[0])
		return
	}
	if c.equal(before.contents) {
		i.complaint = ""
		return
	}
	s, problem := i.files.parse(c, time.Now(), i.hosts) // each time: what is not valid yet will be
	if problem != nil {
		i.refused(problem)
		return
	}
	i.complaint = ""
	i.inUse.Store(s)
	i.warned = time.Time{}
	authorities := !s.authorities.Equal(before.authorities)
	i.log.Info("this node's certificate or its authorities were read anew", "for", namesOf(s.pair.Leaf), "ends", day(s.ends), "other authorities", authorities)
	for _, do := range i.changed {
		do(authorities)
	}
}

// refused says why new files were not taken, unless that was said last.
func (i *Identity) refused(err *Problem) {
	if i.complaint == err.Error() {
		return
	}
	i.complaint = err.Error()
	i.log.Warn("new certificates were not taken, and those before stay in use: mend the files, which are looked at again", "cause", err, "ends", day(i.Ends()))
}

// warn says that the certificate is about to end.
func (i *Identity) warn(now time.Time) {
	left := i.Ends().Sub(now)
	if left > warnBefore || now.Sub(i.warned) < warnEvery {
		return
	}
	i.warned = now
	if left <= 0 {
		i.log.Error("this node's certificate has ended: no connection to it or from it can begin: put a new one in its place", "file", i.files.Cert, "ended", day(i.Ends()))
		return
	}
	i.log.Warn("this node's certificate ends soon: put a new one in its place, which is used without a restart", "file", i.files.Cert, "ends", day(i.Ends()))
}
