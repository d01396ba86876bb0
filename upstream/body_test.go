package upstream

import (
	"io"
	"strings"
	"testing"
)

// closes counts how often a body is closed.
type closes struct {
	io.Reader
	times int
}

func (c *closes) Close() error {
	c.times++
	return nil
}

func TestABodyEndsOnceInWhateverOrderItIsReadClosedAndReleased(t *testing.T) {
	read := func(c *content) { io.ReadAll(c) }
	closed := func(c *content) { c.Close() }
	for _, row := range []struct {
		name  string
		steps []func(*content)
		want  int // before the last step
		last  int
	}{
		{"closed, released", []func(*content){closed, (*content).release}, 0, 1},
		{"released, closed", []func(*content){(*content).release, closed}, 0, 1},
		{"read, closed", []func(*content){read, closed}, 0, 1},
		{"closed, lent, released", []func(*content){closed, (*content).lend, (*content).release}, 0, 0},
		{"closed, lent, closed, released", []func(*content){closed, (*content).lend, closed, (*content).release}, 0, 1},
		{"released, closed, closed", []func(*content){(*content).release, closed, closed}, 1, 1},
	} {
		body := &closes{Reader: strings.NewReader("x")}
		c := newContent(body)
		for i, step := range row.steps {
			if i == len(row.steps)-1 && body.times != row.want {
				t.Errorf("%s: closed %d times before the last step, want %d", row.name, body.times, row.want)
			}
			step(c)
		}
		if body.times != row.last {
			t.Errorf("%s: closed %d times, want %d", row.name, body.times, row.last)
		}
	}
}
