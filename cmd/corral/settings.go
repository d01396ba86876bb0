package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/alecthomas/kong"

	"github.com/corralcache/corral/server"
)

// A configuration is a server.Config with the place each value comes from.
type configuration struct {
	server.Config
	from map[string]string // by the setting's name
}

const (
	fromCommandLine = "command line"
	fromEnvironment = "environment "
	fromDefault     = "default"
)

// mappers make kong leave the values of a Config's flags to the session: kong
// stops at the first value that it cannot read, and does not tell a flag that
// was given from its default.
func (s *session) mappers(config *server.Config) []kong.Option {
	var options []kong.Option
	for _, setting := range config.Settings() {
		options = append(options, kong.ValueMapper(setting.Field(), mapper(func(text string, target reflect.Value) {
			if target.Addr().Interface() != setting.Field() { // which kong resets to its default
				s.given[setting.Name] = text
			}
		})))
	}
	return options
}

type mapper func(text string, target reflect.Value)

func (m mapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto(ctx.Value.Name, &text); err != nil {
		return err
	}
	m(text, target)
	return nil
}

// load reads the settings from the command line, the environment, the file
// (if path is not empty) and the defaults, the first of which wins. Its error
// joins everything that is wrong, also with values that another one overrides.
func (s *session) load(path string) (configuration, error) {
	c := configuration{Config: server.Defaults(), from: map[string]string{}}
	if path == "" {
		path = os.Getenv(server.EnvName("config"))
	}
	var errs []error
	var file map[string]fileValue
	if path != "" {
		file, errs = readFile(path, c.Settings())
	}
	broken := map[string]bool{}
	for _, setting := range c.Settings() {
		for _, problem := range s.assign(&c, setting, file[setting.Name]) {
			broken[setting.Name] = true
			errs = append(errs, problem)
		}
	}
	for _, problem := range c.Validate() {
		if !broken[problem.Setting] && !broken[problem.Against] {
			errs = append(errs, located(c.from[problem.Setting], problem))
		}
	}
	return c, errors.Join(errs...)
}

// assign gives a setting the value of the first place that has one, and
// reports what is wrong in any of them.
func (s *session) assign(c *configuration, setting server.Setting, inFile fileValue) (problems []error) {
	c.from[setting.Name] = fromDefault
	try := func(text, place string) {
		problem := setting.Check(text)
		if problem != nil {
			problems = append(problems, located(place, problem))
			return
		}
		setting.Set(text)
		c.from[setting.Name] = place
	}
	if inFile.place != "" {
		try(inFile.text, inFile.place)
	}
	if text, ok := os.LookupEnv(setting.Env); ok {
		try(text, fromEnvironment+setting.Env)
	}
	if text, ok := s.given[setting.Name]; ok {
		try(text, fromCommandLine)
	}
	return problems
}

// located puts the place of a value before what is wrong with it.
func located(place string, problem error) error {
	if place == "" || place == fromDefault {
		return problem
	}
	return fmt.Errorf("%s: %w", place, problem)
}

// locate finds the places of the problems that a server found with a setting.
func (c *configuration) locate(err error) error {
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) {
		return err
	}
	var errs []error
	for _, err := range all.Unwrap() {
		var problem *server.Problem
		if errors.As(err, &problem) {
			err = located(c.from[problem.Setting], problem)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
