package main

import (
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
	for _, setting := range config.Settings() {
		file.Content = append(file.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: setting.Name},
			&yaml.Node{Kind: yaml.ScalarNode, Value: setting.String(), LineComment: config.from[setting.Name]})
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}
