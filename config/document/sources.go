package main

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"

	"holdfast/config"
	"holdfast/lockprovider"
)

// sources are the Go files of this module, read for their comments.
type sources struct {
	root, module string
	packages     map[string]map[string]string // by import path: the comment of each "Type.Field"
}

func newSources(root string) *sources {
	return &sources{
		root: root, packages: map[string]map[string]string{},
		module: strings.TrimSuffix(reflect.TypeFor[config.Config]().PkgPath(), "config"),
	}
}

// section is the comment of a section: of the field of Config that has its key. Sections within sections have none.
func (s *sources) section(key string) (string, error) {
	all := reflect.TypeFor[config.Config]()
	for i := range all.NumField() {
		if field := all.Field(i); key != "" && field.Tag.Get("key") == key {
			doc, err := s.field(all, field.Name)
			doc = renamed(doc, field.Name, key)
			if field.Type == reflect.TypeFor[config.Locks]() {
				doc += "\nProviders:\n\n" + strategies()
			}
			return doc, err
		}
	}
	return "", nil
}

// strategies is a preformatted list of all strategies, each with what it is; the control is the last.
func strategies() string {
	var list, control strings.Builder
	for _, info := range lockprovider.Strategies {
		to := &list
		if info.Control {
			to = &control
		}
		fmt.Fprintf(to, "\t%-11s %s\n", info.Name, info.Summary)
	}
	return list.String() + control.String()
}

// field is the comment of a field. A setting without one is an error.
func (s *sources) field(of reflect.Type, name string) (string, error) {
	comments, err := s.comments(of.PkgPath())
	if err != nil {
		return "", err
	}
	doc := comments[of.Name()+"."+name]
	if doc == "" {
		return "", fmt.Errorf("%s.%s: no comment says what this setting is", of, name)
	}
	return doc, nil
}

func (s *sources) comments(path string) (map[string]string, error) {
	if known, ok := s.packages[path]; ok {
		return known, nil
	}
	dir := filepath.Join(s.root, filepath.FromSlash(strings.TrimPrefix(path, s.module)))
	parsed, err := parser.ParseDir(token.NewFileSet(), dir,
		func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	for _, p := range parsed {
		ast.Inspect(p, func(n ast.Node) bool {
			if declared, ok := n.(*ast.TypeSpec); ok {
				if fields, ok := declared.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							comments[declared.Name.Name+"."+name.Name] = field.Doc.Text()
						}
					}
				}
			}
			return true
		})
	}
	s.packages[path] = comments
	return comments, nil
}

// wrapped breaks a comment into lines that begin with a prefix. Preformatted parts stay as they are.
func wrapped(doc, prefix string) string {
	if doc == "" {
		return ""
	}
	printer := comment.Printer{TextPrefix: prefix, TextWidth: 120}
	return strings.ReplaceAll(string(printer.Text(new(comment.Parser).Parse(doc))), prefix+"\t", prefix+"  ")
}

// line is a comment as one paragraph of Markdown, in which preformatted parts are code.
func line(doc string) string {
	printer := comment.Printer{}
	text := string(printer.Markdown(new(comment.Parser).Parse(doc)))
	parts := strings.Split(strings.TrimSpace(text), "\n")
	for i, part := range parts {
		if code, ok := strings.CutPrefix(part, "\t"); ok {
			parts[i] = "<br>`" + strings.TrimSpace(code) + "`"
		}
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "|", `\|`)
}
