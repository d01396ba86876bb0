package server

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Setting is one field of a Config, as flags, environment and file know it.
type Setting struct {
	Name    string // as in --max-bytes, and in the file
	Env     string // as in CORRAL_MAX_BYTES
	Default string // as text; empty: none
	Help    string
	value   reflect.Value
}

// A Problem is one thing that is wrong with one setting.
type Problem struct {
	Setting string // its name
	Value   string // as it was given, without a password; empty: not set
	Against string // the other setting, when two contradict each other
	Remedy  string
}

func (p *Problem) Error() string {
	if p.Value == "" {
		return fmt.Sprintf("%s is not set: %s", p.Setting, p.Remedy)
	}
	return fmt.Sprintf("%s is %q: %s", p.Setting, p.Value, p.Remedy)
}

// Settings are the fields of the Config in its order; setting one changes it.
func (c *Config) Settings() []Setting {
	config := reflect.ValueOf(c).Elem()
	settings := make([]Setting, config.NumField())
	for i := range settings {
		tag := config.Type().Field(i).Tag
		name := tag.Get("name")
		settings[i] = Setting{Name: name, Env: EnvName(name), Default: tag.Get("default"), Help: tag.Get("help"), value: config.Field(i)}
	}
	return settings
}

// EnvName is the environment's name of a setting. Other variables that begin
// with CORRAL_ are none of ours: Kubernetes sets CORRAL_SERVICE_HOST and the
// like beside a service of that name.
func EnvName(setting string) string {
	return "CORRAL_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(setting))
}

// Defaults is a Config in which every setting has its default.
func Defaults() Config {
	var c Config
	for _, s := range c.Settings() {
		if s.Default == "" {
			continue
		}
		if problem := s.Set(s.Default); problem != nil {
			panic("server: default of " + problem.Error())
		}
	}
	return c
}

// Set gives the setting the value that the text stands for, or says what is
// wrong with it and leaves the setting alone.
func (s Setting) Set(text string) *Problem {
	if err := decode(s.value.Addr().Interface(), text); err != nil {
		return &Problem{Setting: s.Name, Value: withoutPassword(text), Remedy: err.Error()}
	}
	return nil
}

// Check is Set without the change.
func (s Setting) Check(text string) *Problem {
	s.value = reflect.New(s.value.Type()).Elem()
	return s.Set(text)
}

// String is the setting's value as text that Set understands.
func (s Setting) String() string { return withoutPassword(fmt.Sprint(s.value.Interface())) }

// Field is the pointer to the Config's field.
func (s Setting) Field() any { return s.value.Addr().Interface() }

// decode reads text into one of the types of Config's fields. Its errors are
// remedies.
func decode(field any, text string) error {
	switch field := field.(type) {
	case encoding.TextUnmarshaler:
		return field.UnmarshalText([]byte(text))
	case *string:
		*field = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("write a whole number, as 1000")
		}
		*field = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("write a number and a unit, as 500ms, 30s or 2m")
		}
		*field = d
	default:
		panic(fmt.Sprintf("server: a setting cannot have type %T", field))
	}
	return nil
}

var password = regexp.MustCompile(`(^|//)[^/?#]*@`)

// withoutPassword hides what stands before the @ of a URL.
func withoutPassword(text string) string { return password.ReplaceAllString(text, "${1}…@") }
