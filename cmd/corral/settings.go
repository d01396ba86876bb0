package main

import (
	"errors"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/corralcache/corral/server"
)

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
func (s *session) load(path string) (server.Config, error) {
	c := server.Defaults()
	c.From = map[string]string{}
	if path == "" {
		path = os.Getenv(server.EnvName("config"))
	}
	file := &fileReader{}
	if path != "" {
		file = readFile(path, &c)
	}
	errs, broken := file.errs, map[string]bool{"rules[": file.brokenRules, "origins.": file.brokenOrigins}
	for _, setting := range c.Settings() {
		for _, problem := range s.assign(&c, setting, file.values[setting.Name]) {
			broken[setting.Name] = true
			errs = append(errs, problem)
		}
	}
	for _, problem := range c.Validate() {
		if !broken[problem.Setting] && !broken[problem.Against] && !broken[group(problem.Setting)] {
			errs = append(errs, problem)
		}
	}
	return c, errors.Join(errs...)
}

// group is what all fields of rules, or of origins, begin with: when one cannot
// be read, what Validate says of the others is about what was left.
func group(setting string) string {
	for _, group := range []string{"rules[", "origins."} {
		if strings.HasPrefix(setting, group) {
			return group
		}
	}
	return setting
}

// assign gives a setting the value of the first place that has one, and
// reports what is wrong in any of them.
func (s *session) assign(c *server.Config, setting server.Setting, inFile fileValue) (problems []error) {
	try := func(text, place string) {
		if problem := setting.Check(text); problem != nil {
			problem.Place = place
			problems = append(problems, problem)
			return
		}
		setting.Set(text)
		c.From[setting.Name] = place
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
