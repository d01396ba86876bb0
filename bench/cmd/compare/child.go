package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// childVariable, in the environment, names the job of a process that measures
// the memory of one contender and nothing else.
const childVariable = "CORRAL_COMPARE_JOB"

// A job is what a child process measures.
type job struct {
	Measure   string
	Contender string
	Entries   int
	ValueLen  int
	Bytes     int64
	Total     int64
}

// measures of children. Each answers with numbers by name.
var measures = map[string]func(context.Context, job) (numbers, error){
	"overhead": overheadOf,
	"flow":     flowOf,
	"waiters":  waitersOf,
}

type numbers map[string]float64

func inChild() bool { return os.Getenv(childVariable) != "" }

// serveChild is main in a child process.
func serveChild(out, log io.Writer) int {
	runtime.GOMAXPROCS(procs)
	var j job
	err := json.Unmarshal([]byte(os.Getenv(childVariable)), &j)
	if err == nil {
		var n numbers
		if n, err = measures[j.Measure](context.Background(), j); err == nil {
			err = json.NewEncoder(out).Encode(n)
		}
	}
	if err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	return 0
}

// inOwnProcess does a job in a new process of this program, with the
// collector as Go sets it.
func inOwnProcess(ctx context.Context, j job) (numbers, error) {
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, self)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GOGC=") && !strings.HasPrefix(variable, "GOMEMLIMIT=") {
			child.Env = append(child.Env, variable)
		}
	}
	child.Env = append(child.Env, childVariable+"="+string(spec))
	answer, err := child.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("measure %s of %s in its own process: %w", j.Measure, j.Contender, err)
	}
	var n numbers
	return n, json.Unmarshal(answer, &n)
}
