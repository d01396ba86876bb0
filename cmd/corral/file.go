package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/corralcache/corral/server"
)

// A fileValue is the text of a setting in the file. The zero value: none.
type fileValue struct {
	text  string
	place string // as file:line
}

// maxFile is the largest configuration file, in bytes.
const maxFile = 1 << 20

// readFile reads a YAML file whose names are those of the settings. A name
// with dots may also be written as nested mappings, log.level as level under
// log. Every mistake is reported with its line; values are not looked at yet.
func readFile(path string, settings []server.Setting) (map[string]fileValue, []error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, []error{fmt.Errorf("read configuration: %w: give the path of a file that this user may read", err)}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, []error{fmt.Errorf("read configuration: %w", err)}
	}
	if len(text) > maxFile {
		return nil, []error{fmt.Errorf("read configuration %s: it is larger than %s: give a YAML file of settings", path, server.Bytes(maxFile))}
	}
	r := &fileReader{path: path, known: map[string]bool{}, values: map[string]fileValue{}}
	for _, s := range settings {
		r.known[s.Name] = true
	}
	r.document(text)
	return r.values, r.errs
}

type fileReader struct {
	path   string
	known  map[string]bool
	values map[string]fileValue
	errs   []error
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (r *fileReader) document(text []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return // an empty file sets nothing
	}
	if err != nil {
		line := "1"
		match := syntaxError.FindStringSubmatch(err.Error())
		if match != nil && match[1] != "" {
			line = match[1]
		}
		r.errs = append(r.errs, fmt.Errorf("%s:%s: not YAML: %s", r.path, line, syntaxError.ReplaceAllString(err.Error(), "")))
		return
	}
	if !errors.Is(decoder.Decode(&second), io.EOF) {
		r.wrong(&second, "a second document begins here: put all settings into one")
	}
	top := root.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return
	}
	if top.Kind != yaml.MappingNode {
		r.wrong(top, "write a name and a value on each line, as max-bytes: 256MiB")
		return
	}
	r.mapping("", top)
}

func (r *fileReader) wrong(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", r.place(at), fmt.Sprintf(format, args...)))
}

func (r *fileReader) place(at *yaml.Node) string {
	return fmt.Sprintf("%s:%d", r.path, max(at.Line, 1))
}

// mapping reads names and values; prefix is the name of the mapping itself,
// with a dot.
func (r *fileReader) mapping(prefix string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		switch {
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, "write a single word as a name")
		case value.Kind == yaml.MappingNode:
			r.mapping(name+".", value)
		case !r.known[name]:
			r.wrong(key, "unknown setting %q: %s", name, r.suggestion(name))
		case r.values[name].place != "":
			r.wrong(key, "%s is set twice, first in %s: leave one out", name, r.values[name].place)
		case value.Kind != yaml.ScalarNode:
			r.wrong(value, "%s has more than one value: write a single one, without anchors or lists", name)
		case value.Tag == "!!null":
			r.wrong(value, "%s has no value: write one, or leave the line out for the default", name)
		default:
			r.values[name] = fileValue{text: value.Value, place: r.place(value)}
		}
	}
}

func (r *fileReader) suggestion(name string) string {
	best, distance := "", 4 // beyond three typos it is another word
	for known := range r.known {
		if d := edits(name, known); d < distance || d == distance && best != "" && known < best {
			best, distance = known, d
		}
	}
	if best == "" {
		return "corral serve --help lists all"
	}
	return "did you mean " + best + "?"
}

// edits is the Levenshtein distance between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
