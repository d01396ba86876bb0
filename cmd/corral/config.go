package main

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/corralcache/corral/server"
)

// check is "corral config check".
type check struct {
	File          string `arg:"" optional:"" help:"YAML file of settings ($$CORRAL_CONFIG)."`
	server.Config `embed:""`
}

// Run names everything that would keep "serve" from starting with the same
// file, flags and environment, apart from ports in use.
func (c *check) Run(s *session) error {
	if _, err := s.load(c.File); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "OK")
	return nil
}

// show is "corral config show".
type show struct {
	File          string `arg:"" optional:"" help:"YAML file of settings ($$CORRAL_CONFIG)."`
	server.Config `embed:""`
}

// Run prints a file that sets what is in force, with comments on where it
// comes from.
func (c *show) Run(s *session) error {
	config, err := s.load(c.File)
	if err != nil {
		return err
	}
	file := &yaml.Node{Kind: yaml.MappingNode}
	add(file, config.Settings(), "", config.From, true)
	if len(config.Origins) > 0 {
		origins := &yaml.Node{Kind: yaml.MappingNode}
		for _, pool := range config.Origins {
			entry := &yaml.Node{Kind: yaml.MappingNode}
			add(entry, pool.InForce(), "origins."+pool.Name+".", config.From, true)
			origins.Content = append(origins.Content, word(pool.Name), entry)
		}
		file.Content = append(file.Content, word("origins"), origins)
	}
	if len(config.Rules) > 0 {
		rules := &yaml.Node{Kind: yaml.SequenceNode}
		for i, rule := range config.Rules {
			entry := &yaml.Node{Kind: yaml.MappingNode}
			add(entry, rule.Settings(), fmt.Sprintf("rules[%d].", i), config.From, false)
			rules.Content = append(rules.Content, entry)
		}
		file.Content = append(file.Content, word("rules"), rules)
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

// add writes the settings that were given, or, if all is set, that have a value
// for whatever reason.
func add(to *yaml.Node, settings []server.Setting, prefix string, from map[string]string, all bool) {
	for _, setting := range settings {
		place, text := from[prefix+setting.Name], setting.String()
		if place == "" && (!all || text == "" || setting.Default == "") {
			continue
		}
		value := word(text)
		value.LineComment = cmp.Or(place, fromDefault)
		if text == "" {
			value.Style = yaml.DoubleQuotedStyle // nothing at all would not be a value
		}
		to.Content = append(to.Content, word(setting.Name), value)
	}
}

func word(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
