// Package docgen writes the options reference and the page of answers from the
// code, so that they cannot differ from it: a test fails while docs/options.md
// or docs/cache-status.md is not what it writes, and go generate mends that.
package docgen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"strings"
)

//go:generate go test -run IsCurrent -update .

// Struct writes a table of a struct's exported fields with their comments. dir
// is where the package's source is.
func Struct(dir, name string) (string, error) {
	files, fields, err := parse(dir, name)
	if err != nil {
		return "", err
	}
	return table(files, fields), nil
}

// parse finds a struct in a package's source.
func parse(dir, name string) (*token.FileSet, *ast.FieldList, error) {
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, fmt.Errorf("docgen: list %q: %w", dir, err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return nil, nil, fmt.Errorf("docgen: parse %q: %w", path, err)
		}
		if fields := find(file, name); fields != nil {
			return files, fields, nil
		}
	}
	return nil, nil, fmt.Errorf("docgen: find struct %q in %q: there is none", name, dir)
}

func find(file *ast.File, name string) (fields *ast.FieldList) {
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
			if s, ok := spec.Type.(*ast.StructType); ok {
				fields = s.Fields
			}
		}
		return fields == nil
	})
	return fields
}

func table(files *token.FileSet, fields *ast.FieldList) string {
	var b strings.Builder
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	above := ""
	for _, field := range fields.List {
		text := strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
		if text == "" {
			text = above // one comment stands over several fields
		}
		above = text
		var kind strings.Builder
		printer.Fprint(&kind, files, field.Type)
		for _, name := range field.Names {
			if name.IsExported() {
				fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", name.Name, cell(kind.String()), cell(text))
			}
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
