package docgen

import (
	"fmt"
	"go/ast"
	"reflect"
	"strconv"
	"strings"
)

// Settings writes a table of a struct's settings, which are made of the tags
// name, default, help, zero and reload. A field that is a struct of the package
// has its name before those of its own fields.
func Settings(dir, name string) (string, error) {
	var b strings.Builder
	b.WriteString("| setting | default | meaning |\n|---|---|---|\n")
	if err := settings(&b, dir, name, ""); err != nil {
		return "", err
	}
	return b.String(), nil
}

func settings(b *strings.Builder, dir, name, prefix string) error {
	_, fields, err := parse(dir, name)
	if err != nil {
		return err
	}
	for _, field := range fields.List {
		tag, name := tagOf(field)
		if name == "" {
			continue
		}
		if tag.Get("help") == "" {
			if err := settings(b, dir, fmt.Sprint(field.Type), prefix+name+"."); err != nil {
				return err
			}
			continue
		}
		help, standard := tag.Get("help"), tag.Get("default")
		if zero := tag.Get("zero"); zero != "" {
			help += " 0: " + zero + "."
		}
		if tag.Get("reload") == "no" {
			help += " *"
		}
		if standard != "" {
			standard = "`" + standard + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", prefix+name, standard, cell(help))
	}
	return nil
}

func tagOf(field *ast.Field) (tag reflect.StructTag, name string) {
	if field.Tag == nil {
		return "", ""
	}
	text, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return "", ""
	}
	tag = reflect.StructTag(text)
	return tag, tag.Get("name")
}
