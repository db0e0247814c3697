package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// aPath is what looks like a path of this repository: directories and files, with * and <name> as wildcards.
var aPath = regexp.MustCompile(`^\.?[a-z0-9_-]+(/[A-Za-z0-9_.*<>-]+)*(/|\.(go|md|lua|yaml|yml|sql|graphqls|mod))$`)

// TestPathsThatDocumentsName looks for each file and directory that a document names in backticks. Short names may leave out the
// directories above.
func TestPathsThatDocumentsName(t *testing.T) {
	t.Parallel()
	var all []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", ".cache", "node_modules"}, entry.Name()):
			return filepath.SkipDir
		}
		relative, err := filepath.Rel(root, path)
		all = append(all, "/"+filepath.ToSlash(relative))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wildcard := strings.NewReplacer(`\*`, `[^/]*`, `<name>`, `[^/]*`)
	checked := 0
	for _, file := range files(t, ".md") {
		for _, found := range inBackticks.FindAllStringSubmatch(fences.ReplaceAllString(read(t, file), ""), -1) {
			name := strings.TrimPrefix(found[1], "./")
			if !aPath.MatchString(name) || strings.Contains(name, "<") || file == "CHANGELOG.md" {
				continue
			}
			checked++
			pattern := regexp.MustCompile("/" + wildcard.Replace(regexp.QuoteMeta(strings.TrimSuffix(name, "/"))) + "$")
			if !slices.ContainsFunc(all, pattern.MatchString) {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d paths were found in the documents", checked)
	}
}
