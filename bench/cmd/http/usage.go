package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc (USER_HZ, 100 on every Linux
// that Go runs on).
const tick = 10 * time.Millisecond

// tree is a process and all that descend from it.
func tree(root int) ([]int, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(dir.Name())
		if err != nil {
			continue
		}
		if fields, err := statOf(pid); err == nil {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	family := []int{root}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family, nil
}

// statOf is /proc/pid/stat from its third field on, after the command's name,
// which may hold spaces and parentheses.
func statOf(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	return fields, nil
}

// processorTime is what a process tree has used, user and system.
func processorTime(root int) (time.Duration, error) {
	family, err := tree(root)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, pid := range family {
		fields, err := statOf(pid)
		if err != nil {
			continue // it has just ended
		}
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}

// A memory is the resident memory of a process tree, in bytes. Where processes
// share memory, Now counts it once and Peak once for each.
type memory struct{ Now, Peak int64 }

func memoryOf(root int) (m memory, err error) {
	family, err := tree(root)
	if err != nil {
		return m, err
	}
	for _, pid := range family {
		now, err := kilobytes(pid, "smaps_rollup", "Pss:")
		if err != nil {
			continue // it has just ended
		}
		peak, err := kilobytes(pid, "status", "VmHWM:")
		if err != nil {
			return m, err
		}
		m.Now += now
		m.Peak += peak
	}
	return m, nil
}

// forgetPeak lets the peak of a process tree's memory begin anew.
func forgetPeak(root int) error {
	family, err := tree(root)
	if err != nil {
		return err
	}
	for _, pid := range family {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// kilobytes is a field in kB of a file in /proc/pid, as bytes.
func kilobytes(pid int, file, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	i := slices.Index(fields, name)
	if i < 0 || i+1 == len(fields) {
		return 0, fmt.Errorf("read /proc/%d/%s: no %s", pid, file, name)
	}
	n, err := strconv.ParseInt(fields[i+1], 10, 64)
	return n << 10, err
}
