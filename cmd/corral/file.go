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
	place string   // as file:line
	parts []string // places of the elements, where it is a list
}

// maxFile is the largest configuration file, in bytes.
const maxFile = 1 << 20

// readFile reads a YAML file whose names are those of the settings, and puts
// its rules and origins into the Config. A name with dots may also be written
// as nested mappings, log.level as level under log. Every mistake is reported
// with its line; values of settings are not looked at yet.
func readFile(path string, config *server.Config) *fileReader {
	r := &fileReader{path: path, config: config}
	text, err := readText(path)
	if err != nil {
		r.errs = []error{err}
		return r
	}
	if top := r.document(text); top != nil {
		own := map[string]func(value *yaml.Node){"rules": r.rules, "origins": r.origins}
		r.values = r.mapping(top, config.Settings(), "setting", own)
	}
	return r
}

func readText(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w: give the path of a file that this user may read", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read configuration %s: it is larger than %s: give a YAML file of settings", path, server.Bytes(maxFile))
	}
	return text, nil
}

// A fileReader is what one file says.
type fileReader struct {
	path   string
	config *server.Config // its rules and origins are the file's
	values map[string]fileValue
	errs   []error

	brokenRules, brokenOrigins bool // something of them could not be read
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// document gives the mapping that the file is, or nil.
func (r *fileReader) document(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil // an empty file sets nothing
	}
	if err != nil {
		line := "1"
		match := syntaxError.FindStringSubmatch(err.Error())
		if match != nil && match[1] != "" {
			line = match[1]
		}
		r.errs = append(r.errs, fmt.Errorf("%s:%s: not YAML: %s", r.path, line, syntaxError.ReplaceAllString(err.Error(), "")))
		return nil
	}
	if !errors.Is(decoder.Decode(&second), io.EOF) {
		r.wrong(&second, "a second document begins here: put all settings into one")
	}
	top := root.Content[0]
	if isNull(top) {
		return nil
	}
	if top.Kind != yaml.MappingNode {
		r.wrong(top, "write a name and a value on each line, as max-bytes: 256MiB")
		return nil
	}
	return top
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func (r *fileReader) wrong(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", r.place(at), fmt.Sprintf(format, args...)))
}

func (r *fileReader) place(at *yaml.Node) string {
	return fmt.Sprintf("%s:%d", r.path, max(at.Line, 1))
}

// A scope reads a mapping, and those nested in it, whose names are settings of
// one thing. Some names are read by functions of their own.
type scope struct {
	*fileReader
	what   string // that a name is of
	known  map[string]server.Setting
	own    map[string]func(value *yaml.Node)
	values map[string]fileValue
	seen   map[string]string // places of names
}

func (r *fileReader) mapping(node *yaml.Node, settings []server.Setting, what string, own map[string]func(value *yaml.Node)) map[string]fileValue {
	s := &scope{fileReader: r, what: what, known: map[string]server.Setting{}, own: own, values: map[string]fileValue{}, seen: map[string]string{}}
	for _, setting := range settings {
		s.known[setting.Name] = setting
	}
	s.read("", node)
	return s.values
}

// read reads names and values; prefix is the name of the mapping itself, with a
// dot.
func (s *scope) read(prefix string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		setting, known := s.known[name]
		own := s.own[name]
		switch {
		case key.Kind != yaml.ScalarNode:
			s.wrong(key, "write a single word as a name")
		case value.Kind == yaml.MappingNode && own == nil:
			s.read(name+".", value)
		case !known && own == nil:
			s.wrong(key, "unknown %s %q: %s", s.what, name, s.suggestion(name))
		case s.seen[name] != "":
			s.wrong(key, "%s is set twice, first in %s: leave one out", name, s.seen[name])
		case isNull(value):
			s.wrong(value, "%s has no value: write one, or leave the line out for the default", name)
		case own != nil:
			s.seen[name] = s.place(key)
			own(value)
		default:
			s.value(setting, value)
		}
	}
}

// value reads the text of a setting.
func (s *scope) value(setting server.Setting, node *yaml.Node) {
	s.seen[setting.Name] = s.place(node)
	value := fileValue{text: node.Value, place: s.place(node)}
	switch {
	case node.Kind == yaml.SequenceNode && setting.List:
		if value.text, value.parts = s.list(setting.Name, node); value.parts == nil {
			return
		}
	case node.Kind != yaml.ScalarNode && setting.List:
		s.wrong(node, "%s is not a list: write one, without anchors", setting.Name)
		return
	case node.Kind != yaml.ScalarNode:
		s.wrong(node, "%s has more than one value: write a single one, without anchors or lists", setting.Name)
		return
	}
	s.values[setting.Name] = value
}

func (s *scope) suggestion(name string) string {
	best, distance := "", 4 // beyond three typos it is another word
	try := func(known string) {
		if d := edits(name, known); d < distance || d == distance && best != "" && known < best {
			best, distance = known, d
		}
	}
	for known := range s.known {
		try(known)
	}
	for known := range s.own {
		try(known)
	}
	switch {
	case best != "":
		return "did you mean " + best + "?"
	case s.what == "setting":
		return "corral serve --help lists all"
	}
	return "docs/options.md lists all"
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
