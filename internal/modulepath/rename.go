package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// skipped are directories that hold no sources of this module. What is in testdata is input of a test, which may be about
// any module.
var skipped = []string{".git", ".cache", "node_modules", "testdata"}

// rename gives the module in a directory the path to. It returns the path before and the number of files changed. It
// writes nothing if it returns an error other than one of writing.
func rename(root, to string) (from string, changed int, err error) {
	if err := module.CheckPath(to); err != nil {
		return "", 0, fmt.Errorf("%w; a path looks like example.com/you/holdfast, and begins with the name of a host", err)
	}
	manifest, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", 0, err
	}
	from = modfile.ModulePath(manifest)
	if from == "" {
		return "", 0, errors.New("go.mod names no module")
	}
	if from == to {
		return from, 0, nil
	}
	r, err := newRenamer(root, from, to)
	if err != nil {
		return "", 0, err
	}
	files, err := r.tree(root)
	if err != nil {
		return "", 0, err
	}
	for _, f := range files {
		if err := os.WriteFile(f.path, f.content, f.mode); err != nil {
			return "", 0, err
		}
	}
	return from, len(files), nil
}

// renamer has the rules for one pair of paths.
type renamer struct {
	from, to string
	dirs     []string       // the directories in the root of the module
	inText   *regexp.Regexp // the path of a package, in text
	settings *regexp.Regexp // a line of YAML that tells a tool the path of the module
}

func newRenamer(root, from, to string) (*renamer, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	r := &renamer{
		from: from, to: to,
		// Nothing precedes the path of a package that would make it a part of a longer path, a host or a name.
		inText: regexp.MustCompile(`(^|[^\pL\pN_./:@-])` + regexp.QuoteMeta(from) + `/([\w-]+)`),
		settings: regexp.MustCompile(
			`(?m)^(\s*(?:module-path|local-prefixes|local_prefix):\s*\[?)` + regexp.QuoteMeta(from) + `(\]?\s*)$`),
	}
	for _, e := range entries {
		if e.IsDir() {
			r.dirs = append(r.dirs, e.Name())
		}
	}
	return r, nil
}

// file is a file that changes.
type file struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// tree returns the files that change.
func (r *renamer) tree(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skipped, d.Name()) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		before, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after, err := r.file(path, before)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if bytes.Equal(before, after) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, file{path, after, info.Mode().Perm()})
		return nil
	})
	return files, err
}

// file returns the new content of a file.
func (r *renamer) file(path string, content []byte) ([]byte, error) {
	if bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content) {
		return content, nil // no text
	}
	switch {
	case filepath.Base(path) == "go.mod":
		return r.manifest(path, content)
	case filepath.Ext(path) == ".go":
		return r.source(path, content)
	case filepath.Ext(path) == ".yml", filepath.Ext(path) == ".yaml":
		return r.settings.ReplaceAll(r.text(content), []byte("${1}"+r.to+"${2}")), nil
	}
	return r.text(content), nil
}

// path returns the new path of a package or a nested module, and whether it is in this module.
func (r *renamer) path(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, r.from)
	if !ok || rest != "" && rest[0] != '/' {
		return path, false
	}
	return r.to + rest, true
}

// manifest renames in a go.mod: of this module, or of one in its tree that requires or replaces it.
func (r *renamer) manifest(path string, content []byte) ([]byte, error) {
	f, err := modfile.Parse(path, content, nil)
	if err != nil {
		return nil, err
	}
	changed := false
	inLine := func(l *modfile.Line) {
		for i, word := range l.Token {
			if renamed, ok := r.path(word); ok {
				l.Token[i], changed = renamed, true
			}
		}
	}
	for _, statement := range f.Syntax.Stmt {
		switch s := statement.(type) {
		case *modfile.Line:
			inLine(s)
		case *modfile.LineBlock:
			for _, l := range s.Line {
				inLine(l)
			}
		}
	}
	if !changed {
		return content, nil
	}
	return modfile.Format(f.Syntax), nil
}

// source renames in a Go file: its imports, and the paths of packages in comments and strings.
func (r *renamer) source(path string, content []byte) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, content, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var out []byte
	end, imports := 0, false
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		renamed, ok := r.path(imported)
		if !ok {
			continue
		}
		start := fset.Position(spec.Path.Pos()).Offset
		out = append(out, r.text(content[end:start])...)
		out = strconv.AppendQuote(out, renamed)
		end, imports = start+len(spec.Path.Value), true
	}
	out = append(out, r.text(content[end:])...)
	if !imports {
		return out, nil
	}
	return format.Source(out) // sorts the imports
}

// text renames the paths of packages in a text: the path of this module, followed by one of its directories.
func (r *renamer) text(content []byte) []byte {
	return r.inText.ReplaceAllFunc(content, func(match []byte) []byte {
		groups := r.inText.FindSubmatch(match)
		if !slices.Contains(r.dirs, string(groups[2])) {
			return match
		}
		return slices.Concat(groups[1], []byte(r.to), []byte("/"), groups[2])
	})
}
