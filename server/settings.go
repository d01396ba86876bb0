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

// A Setting is one field of a Config, or of one of its rules and pools, as
// flags, environment and file know it.
type Setting struct {
	Name    string // as in --max-bytes, and in the file
	Env     string // as in CORRAL_MAX_BYTES
	Default string // as text; empty: none
	Help    string
	List    bool // may be a list in the file
	frozen  bool // cannot change while the server runs
	strict  bool // refuses numbers of 0 and below, unless zero says what 0 means
	zero    string
	value   reflect.Value
}

// A Problem is one thing that is wrong with one setting.
type Problem struct {
	Place   string // where its value comes from, as corral.yaml:3; empty: not known
	Setting string // its name
	Value   string // as it was given, without a password; empty: not set
	Against string // the other setting, when two contradict each other
	Remedy  string
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("%s is %q: %s", p.Setting, p.Value, p.Remedy)
	if p.Value == "" {
		text = fmt.Sprintf("%s is not set: %s", p.Setting, p.Remedy)
	}
	if p.Place != "" {
		return p.Place + ": " + text
	}
	return text
}

// Settings are the fields of the Config that have a value of their own, in its
// order; setting one changes it.
func (c *Config) Settings() []Setting { return settingsOf(reflect.ValueOf(c).Elem(), "", false) }

// Settings are the fields of the rule.
func (r *Rule) Settings() []Setting { return settingsOf(reflect.ValueOf(r).Elem(), "", true) }

// Settings are the fields of the pool.
func (p *Pool) Settings() []Setting { return settingsOf(reflect.ValueOf(p).Elem(), "", true) }

// settingsOf finds what has a name. The fields of a struct that is no value of
// its own have that of the struct before theirs, as key.headers.
func settingsOf(v reflect.Value, prefix string, strict bool) (settings []Setting) {
	for i := range v.NumField() {
		tag, field := v.Type().Field(i).Tag, v.Field(i)
		name := tag.Get("name")
		if name == "" {
			continue
		}
		name = prefix + name
		if _, isValue := field.Addr().Interface().(encoding.TextUnmarshaler); field.Kind() == reflect.Struct && !isValue {
			settings = append(settings, settingsOf(field, name+".", strict)...)
			continue
		}
		help, zero := tag.Get("help"), tag.Get("zero")
		if zero != "" {
			help += " 0: " + zero + "."
		}
		settings = append(settings, Setting{
			Name: name, Env: EnvName(name), Default: tag.Get("default"), Help: help, List: field.Kind() == reflect.Slice,
			frozen: tag.Get("reload") == "no", strict: strict, zero: zero, value: field,
		})
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
	setDefaults(c.Settings())
	return c
}

func setDefaults(settings []Setting) {
	for _, s := range settings {
		if s.Default == "" {
			continue
		}
		if problem := s.Set(s.Default); problem != nil {
			panic("server: default of " + problem.Error())
		}
	}
}

// Set gives the setting the value that the text stands for, or says what is
// wrong with it and leaves the setting alone.
func (s Setting) Set(text string) *Problem {
	read := reflect.New(s.value.Type()).Elem()
	err := decode(read.Addr().Interface(), text)
	if err == nil && s.strict {
		err = s.refuse(read)
	}
	if err != nil {
		return &Problem{Setting: s.Name, Value: withoutPassword(text), Remedy: err.Error()}
	}
	s.value.Set(read)
	return nil
}

// refuse says what is wrong with a number of 0 or below.
func (s Setting) refuse(read reflect.Value) error {
	negative := read.CanInt() && read.Int() < 0 || read.CanFloat() && !(read.Float() >= 0)
	switch {
	case !read.CanInt() && !read.CanFloat() || !negative && !read.IsZero():
		return nil
	case s.zero != "" && negative:
		return fmt.Errorf("set it above 0, or 0: %s", s.zero)
	case s.zero == "":
		return errors.New("set it above 0, or leave the line out")
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

// decode reads text into one of the types of settings. Its errors are remedies.
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
	case *float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != f {
			return errors.New("write a number, as 0.5 or 100")
		}
		*field = f
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
