package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	fences   = regexp.MustCompile("(?ms)^ *(?:```|~~~).*?\n *(?:```|~~~) *$")
	comments = regexp.MustCompile(`(?s)<!--.*?-->`)
	code     = regexp.MustCompile("`[^`\n]*`")
	links    = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|href)="([^"]+)"`)
	headings = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	absolute = regexp.MustCompile(`^[a-z]+:`)
)

// TestLinks follows every relative link of every document, to its file and its heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, file := range files(t, ".md") {
		prose := code.ReplaceAllString(comments.ReplaceAllString(fences.ReplaceAllString(read(t, file), ""), ""), "``")
		for _, link := range links.FindAllStringSubmatch(prose, -1) {
			target := link[1] + link[2]
			if absolute.MatchString(target) {
				continue
			}
			checked++
			name, fragment, _ := strings.Cut(target, "#")
			to := file
			if name != "" {
				to = path.Join(path.Dir(file), name)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: the link %s leads to no file", file, target)
				continue
			}
			if fragment != "" && !slices.Contains(anchors(t, to), fragment) {
				t.Errorf("%s: the link %s leads to no heading", file, target)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links were found in the documents", checked)
	}
}

// anchors are the names of the headings of a document, as GitHub makes them.
func anchors(t *testing.T, file string) []string {
	t.Helper()
	var names []string
	seen := map[string]int{}
	for _, heading := range headings.FindAllStringSubmatch(fences.ReplaceAllString(read(t, file), ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, heading[1])
		if n := seen[name]; n > 0 {
			names = append(names, name+"-"+strconv.Itoa(n))
		} else {
			names = append(names, name)
		}
		seen[name]++
	}
	return names
}
