package rounds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Row is one line of a table of figures. B is the run of the command to which
// it belongs.
type Row[B any] struct {
	Name, Title string
	Columns     []Column
	How         func(b B) string
	Measure     func(ctx context.Context, b B, s *Section) error
	// Judge adds what must hold on any machine, and what is held on a quiet one.
	Judge func(b B, s *Section)
}

// A Column is a figure of a row. With Ratio, the first contender's is also
// divided by each rival's.
type Column struct {
	Key, Head, Format string
	Ratio             bool
}

// Figure is a column that is printed as it is: format is for its number.
func Figure(key, head, format string) Column { return Column{Key: key, Head: head, Format: format} }

// Compared is a column of which ratios are printed too.
func Compared(key, head, format string) Column {
	return Column{Key: key, Head: head, Format: format, Ratio: true}
}

// A Sample is what one measurement gives, by column.
type Sample map[string]float64

// Names are those of rows, in a line.
func Names[B any](rows []Row[B]) string {
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

// Choose picks rows by their names, separated by commas: all if there are none.
func Choose[B any](rows []Row[B], only string) ([]Row[B], error) {
	if only == "" {
		return rows, nil
	}
	var chosen []Row[B]
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(rows, func(r Row[B]) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("-rows %q: there is none of that name: choose from %s", name, Names(rows))
		}
		chosen = append(chosen, rows[i])
	}
	return chosen, nil
}

// Measure measures rows, prints each as soon as it is there, and then how much
// was met. A row that fails, or in which something does not hold that must, does
// not keep the others from being measured.
func Measure[B any](ctx context.Context, b B, rows []Row[B], out io.Writer) error {
	var all []*Section
	var broken []error
	for _, row := range rows {
		began := time.Now()
		s := &Section{Name: row.Name, Title: row.Title, How: row.How(b), Columns: row.Columns, load: LoadNow()}
		err := row.Measure(ctx, b, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			row.Judge(b, s)
			err = s.asserted()
		}
		s.took = time.Since(began)
		fmt.Fprint(out, s.text())
		if err != nil {
			broken = append(broken, fmt.Errorf("row %s: %w", row.Name, err))
		}
		all = append(all, s)
	}
	fmt.Fprint(out, verdict(all))
	return errors.Join(broken...)
}

// Alternate measures contenders in turn, in rounds that begin with another one
// each time.
func (s *Section) Alternate(ctx context.Context, rounds int, contenders []string, measure func(contender string) (Sample, error)) error {
	for _, name := range contenders {
		s.lines = append(s.lines, line{name: name})
	}
	for round := range rounds {
		for k := range contenders {
			i := (round + k) % len(contenders)
			if err := ctx.Err(); err != nil {
				return err
			}
			sample, err := measure(contenders[i])
			if err != nil {
				return fmt.Errorf("%s: %w", contenders[i], err)
			}
			s.lines[i].samples = append(s.lines[i].samples, sample)
		}
	}
	return nil
}
