// Package docs_test keeps the documents equal to the code: links lead somewhere, metrics and log lines are all described, and what the
// container files name exists.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = ".."

// skipped are directories without documents or code of this project.
var skipped = []string{".git", ".cache", "node_modules", "dist", "bin"}

// files returns the paths of all files of the repository with an extension, relative to its root.
func files(t *testing.T, extension string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return filepath.SkipDir
		case !entry.IsDir() && filepath.Ext(path) == extension:
			relative, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(relative))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// forTests are the directories whose code runs in tests only, or is generated from a table.
var forTests = regexp.MustCompile(`(^|/)(testenv|servers|providertest|locktest|peers)/|^ent/`)

// sources parses the code of the server, without tests. visit is called with each file and its path.
func sources(t *testing.T, visit func(path string, file *ast.File)) {
	t.Helper()
	for _, path := range files(t, ".go") {
		if strings.HasSuffix(path, "_test.go") || forTests.MatchString(path) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, read(t, path), parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, file)
	}
}

// text returns the value of a string literal.
func text(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

// firstColumn returns what stands in backticks at the beginning of the table rows of a document, after the heading that is named and
// before the next of the same level.
func firstColumn(t *testing.T, path, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(read(t, path), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", path, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	section, _, _ = strings.Cut(section, "\n"+level+" ")
	var cells []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		cells = append(cells, row[1])
	}
	if len(cells) == 0 {
		t.Fatalf("%s: no table with names after %q", path, heading)
	}
	return cells
}

// wantSame compares two sets of names.
func wantSame(t *testing.T, documented, inCode []string, where string) {
	t.Helper()
	for _, name := range inCode {
		if !slices.Contains(documented, name) {
			t.Errorf("the code has %q, and %s does not", name, where)
		}
	}
	for _, name := range documented {
		if !slices.Contains(inCode, name) {
			t.Errorf("%s has %q, and the code does not", where, name)
		}
	}
}
