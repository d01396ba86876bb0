package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/corralcache/corral/server"
)

// storeStat is "corral store stat".
type storeStat struct {
	storeSource `embed:""`
}

// Run prints what a store is. One that is done without is an error, too.
func (c *storeStat) Run(s *session) error {
	return c.look(s, func(store looker) error {
		status, err := store.stat(s.ctx)
		if status.Kind != "" {
			if c.JSON {
				err = cmp.Or(err, printJSON(s.out, status))
			} else {
				printStore(s.out, status, store.counting())
			}
		}
		if err == nil && status.Broken != "" {
			err = fmt.Errorf("corral: the store is done without: %s", status.Broken)
		}
		return err
	})
}

// printStore prints what a store is, and, where that means anything, its counts.
func printStore(to io.Writer, s server.StoreStatus, counts bool) {
	bound := ""
	if s.MaxBytes > 0 {
		bound = " of " + size(s.MaxBytes)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "store\t%s\n", s.Kind)
	fmt.Fprintf(table, "values\t%s\n", number(s.Entries))
	fmt.Fprintf(table, "bytes\t%s%s\n", size(s.Bytes), bound)
	fmt.Fprintf(table, "revision\t%d%s\n", s.Revision, in(" of ", s.Sequence))
	if !counts {
		table.Flush()
		return
	}
	fmt.Fprintf(table, "asked\t%d, found %d\n", s.Gets, s.Hits)
	fmt.Fprintf(table, "written\t%d, refused %d\n", s.Puts, s.Refused)
	fmt.Fprintf(table, "purges\t%d, %d not told yet\n", s.Deletes, s.Pending)
	fmt.Fprintf(table, "gone\t%d evicted, %d expired\n", s.Evicted, s.Expired)
	fmt.Fprintf(table, "trouble\t%d calls failed, %d values corrupt\n", s.Errors, s.Corrupt)
	table.Flush()
}

// in puts something before a text, unless that is empty.
func in(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func number(n int64) string {
	if n < 0 {
		return "not known"
	}
	return fmt.Sprint(n)
}

// size is a number of bytes for people.
func size(bytes int64) string {
	if bytes < 0 {
		return "not known"
	}
	n := float64(bytes)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + unit
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1fTiB", n)
}

// storeLs is "corral store ls".
type storeLs struct {
	storeSource `embed:""`
	Under       string `arg:"" optional:"" name:"prefix" help:"What the keys begin with, as \"GET https://www.example.com/\". None: all."`
	Limit       int64  `name:"limit" flagonly:"" default:"1000" help:"How many at most; else ${default}. 0: all."`
}

// Run prints a line for each entry. Keys come last, for they are long.
func (c *storeLs) Run(s *session) error {
	header := func() {
		if !c.JSON {
			fmt.Fprintf(s.out, lsLine, "AGE", "FRESH FOR", "STALE FOR", "BYTES", "REVISION", "KEY")
		}
	}
	return c.look(s, func(store looker) error {
		first := true
		return store.list(s.ctx, c.Under, c.Limit, func(line server.StoreLine) error {
			if first {
				header()
				first = false
			}
			return c.print(s, line)
		})
	})
}

const lsLine = "%10s  %10s  %10s  %9s  %8s  %s\n"

func (c *storeLs) print(s *session, line server.StoreLine) error {
	if line.End != nil {
		if c.JSON {
			return cmp.Or(printJSON(s.out, line), ended(line.End))
		}
		fmt.Fprintf(s.out, "%d keys, %s%s\n", line.End.Entries, size(line.End.Bytes), map[bool]string{true: ", and there are more: --limit 0 shows all"}[line.End.More])
		return ended(line.End)
	}
	if c.JSON {
		return printJSON(s.out, line)
	}
	e := line.Entry
	_, err := fmt.Fprintf(s.out, lsLine, short(e.AgeMS), left(e), short(e.WindowsMS), size(e.Bytes), fmt.Sprint(e.Revision), shown(e.Key))
	return err
}

// ended is the error of a list that ended too early.
func ended(end *server.StoreEnd) error {
	if end.Error == "" {
		return nil
	}
	return fmt.Errorf("corral: the list ended early: %s", end.Error)
}

// shown is a key on one line.
func shown(key string) string {
	if strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Sprintf("%q", key)
	}
	return key
}

// short is a number of milliseconds, as precise as somebody reads it.
func short(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if d >= time.Minute || d <= -time.Minute {
		d = d.Round(time.Second)
	}
	if ms >= forever {
		return "forever"
	}
	return d.String()
}

// forever is from which number of milliseconds on a time has no end.
const forever = 1 << 43

// left says for how long an entry is fresh.
func left(e *server.StoreEntry) string {
	if e.Forever {
		return "forever"
	}
	return short(e.TTLMS)
}

// storeGet is "corral store get".
type storeGet struct {
	storeSource `embed:""`
	Key         string `arg:"" help:"Key, as store ls prints it, or an address, as https://www.example.com/news."`
	Content     bool   `name:"content" flagonly:"" help:"Print the content alone: the body of an answer."`
}

// Run prints an entry, the answer's head and its body.
func (c *storeGet) Run(s *session) error {
	return c.look(s, func(store looker) error {
		value, content, err := store.get(s.ctx, unquoted(c.Key))
		if err != nil {
			return err
		}
		if value == nil {
			return fmt.Errorf("corral: the store has nothing under %q", c.Key)
		}
		defer content.Close()
		switch {
		case c.JSON:
			return c.printJSON(s, value, content)
		case !c.Content:
			printValue(s.out, value)
		}
		_, err = io.Copy(s.out, content)
		return err
	})
}

// printJSON prints all of an entry as one JSON object, its content in base64.
func (c *storeGet) printJSON(s *session, value *server.StoreValue, content io.Reader) error {
	all := struct {
		*server.StoreValue
		Content []byte `json:"content"`
	}{StoreValue: value}
	var err error
	if all.Content, err = io.ReadAll(io.LimitReader(content, maxJSONContent+1)); err != nil {
		return err
	}
	if len(all.Content) > maxJSONContent {
		return fmt.Errorf("corral: the content is longer than %s: print it with --content", size(maxJSONContent))
	}
	return printJSON(s.out, all)
}

// maxJSONContent bounds what is held in memory to be printed, in bytes.
const maxJSONContent = 64 << 20

func printValue(to io.Writer, v *server.StoreValue) {
	e := &v.Entry
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "key\t%s\n", shown(e.Key))
	fmt.Fprintf(table, "bytes\t%s\n", size(e.Bytes))
	fmt.Fprintf(table, "age\t%s, took %s\n", short(e.AgeMS), short(e.CostMS))
	fmt.Fprintf(table, "fresh for\t%s, then stale for %s\n", left(e), short(e.WindowsMS))
	fmt.Fprintf(table, "revision\t%d\n", e.Revision)
	if len(e.Tags) > 0 {
		fmt.Fprintf(table, "tags\t%s\n", strings.Join(e.Tags, ", "))
	}
	if e.Validator != "" {
		fmt.Fprintf(table, "validator\t%s\n", e.Validator)
	}
	table.Flush()
	fmt.Fprintln(to)
	if v.Status == 0 {
		return
	}
	fmt.Fprintf(to, "HTTP %d %s\n", v.Status, http.StatusText(v.Status))
	names := make([]string, 0, len(v.Header))
	for name := range v.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range v.Header[name] {
			fmt.Fprintf(to, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintln(to)
}

// unquoted is a key as it is, also where ls has printed it in quotes.
func unquoted(key string) string {
	var text string
	if strings.HasPrefix(key, `"`) && json.Unmarshal([]byte(key), &text) == nil {
		return text
	}
	return key
}

// storeRm is "corral store rm".
type storeRm struct {
	storeSource `embed:""`
	Keys        []string `arg:"" name:"key" help:"Keys, as store ls prints them, or addresses; of a running serve an address stands for all its variants."`
}

// Run takes keys out.
func (c *storeRm) Run(s *session) error {
	return c.look(s, func(store looker) error {
		keys := slices.Clone(c.Keys)
		for i := range keys {
			keys[i] = unquoted(keys[i])
		}
		done, err := store.remove(s.ctx, keys)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(s.out, server.StoreRemoval{Keys: keys})
		}
		fmt.Fprintln(s.out, done)
		return nil
	})
}

// storeVerify is "corral store verify".
type storeVerify struct {
	storeSource `embed:""`
}

// Run reads everything and names what is broken.
func (c *storeVerify) Run(s *session) error {
	return c.look(s, func(store looker) error {
		return store.verify(s.ctx, func(line server.StoreLine) error { return c.print(s, line) })
	})
}

func (c *storeVerify) print(s *session, line server.StoreLine) error {
	switch {
	case c.JSON:
		if err := printJSON(s.out, line); err != nil {
			return err
		}
	case line.Entry != nil:
		fmt.Fprintf(s.out, "%s: %s\n", shown(line.Entry.Key), line.Entry.Broken)
	default:
		fmt.Fprintf(s.out, "%d values with %s are whole, %d were broken and are out of the store\n", line.End.Entries, size(line.End.Bytes), line.End.Broken)
	}
	if line.End == nil {
		return nil
	}
	if err := ended(line.End); err != nil || line.End.Broken == 0 {
		return err
	}
	return fmt.Errorf("corral: %d values were broken", line.End.Broken)
}
