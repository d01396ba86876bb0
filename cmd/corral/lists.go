package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/corralcache/corral/server"
)

// list gives a list of YAML as the text that a setting reads, and the places of
// its elements; nil when it is of no use.
func (s *scope) list(name string, node *yaml.Node) (text string, places []string) {
	var words []string
	if len(node.Content) == 0 {
		s.wrong(node, "%s is an empty list: write an element, or leave the line out for the default", name)
	}
	for _, element := range node.Content {
		switch {
		case element.Kind != yaml.ScalarNode || isNull(element):
			s.wrong(element, "%s has an element that is no single value: write a text", name)
			return "", nil
		case element.Value == "" || strings.Contains(element.Value, ","):
			s.wrong(element, "%s has the element %q: write each on a line of its own, without a comma", name, element.Value)
			return "", nil
		}
		words, places = append(words, element.Value), append(places, s.place(element))
	}
	return strings.Join(words, ","), places
}

// rules reads the list of rules.
func (r *fileReader) rules(node *yaml.Node) {
	before := len(r.errs)
	defer func() { r.brokenRules = len(r.errs) > before }()
	if node.Kind != yaml.SequenceNode {
		r.wrong(node, "rules is no list: begin each rule with a dash, as - path: /assets/*")
		return
	}
	for i, entry := range node.Content {
		rule := server.Rule{Place: r.place(entry)}
		r.entry(entry, fmt.Sprintf("rules[%d]", i), "a rule", rule.Settings())
		r.config.Rules = append(r.config.Rules, rule)
	}
}

// origins reads the pools by their names.
func (r *fileReader) origins(node *yaml.Node) {
	before := len(r.errs)
	defer func() { r.brokenOrigins = len(r.errs) > before }()
	if node.Kind != yaml.MappingNode {
		r.wrong(node, "origins has no names: write a name on a line, and below it, indented, servers: and their URLs")
		return
	}
	seen := map[string]string{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, entry := node.Content[i], node.Content[i+1]
		name := key.Value
		switch {
		case key.Kind != yaml.ScalarNode || !server.ValidPoolName(name):
			r.wrong(key, "origins has the name %q: use letters, digits and any of - _ only, and begin with a letter", name)
			continue
		case seen[name] != "":
			r.wrong(key, "origins.%s is there twice, first in %s: leave one out", name, seen[name])
			continue
		}
		seen[name] = r.place(key)
		pool := server.NewPool(name)
		r.entry(entry, "origins."+name, "an origin", pool.Settings())
		r.config.From["origins."+name] = r.place(key)
		r.config.Origins = append(r.config.Origins, pool)
	}
}

// entry reads the fields of a rule or a pool, which stands under a name.
func (r *fileReader) entry(node *yaml.Node, name, what string, settings []server.Setting) {
	r.config.From[name] = r.place(node)
	if node.Kind != yaml.MappingNode {
		r.wrong(node, "%s is not %s: write names and values, as docs/options.md has them", name, what)
		return
	}
	values := r.mapping(node, settings, "field of "+what, nil)
	for _, setting := range settings {
		value, given := values[setting.Name]
		if !given {
			continue
		}
		field := name + "." + setting.Name
		r.config.From[field] = value.place
		for i, place := range value.parts {
			r.config.From[fmt.Sprintf("%s[%d]", field, i)] = place
		}
		if problem := setting.Set(value.text); problem != nil {
			problem.Setting, problem.Place = field, value.place
			r.errs = append(r.errs, problem)
		}
	}
}
