package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// before is a module in which the word holdfast stands for its path, and for much else.
var before = map[string]string{
	"go.mod": "module holdfast\n\ngo 1.26.0\n\nrequire example.com/holdfast v1.0.0\n",
	"graph/graph.go": `// Package graph is described in [holdfast/graph/model], not in [holdfast/other].
package graph

import (
	"fmt"

	"example.com/holdfast/graph"
	"holdfast/ent"
	model "holdfast/graph/model"
	"other/holdfast/graph"
)

// holdfast is no path, and holdfast_changes_total, holdfast:lock and HOLDFAST_URL are none.
const function, name, file = "holdfast/graph.Run", "holdfast", "/tmp/holdfast/graph"
`,
	"graph/model/model.go": "package model\n",
	"ent/ent.go":           "package ent\n",
	"lock/peers/go.mod": "module holdfast/lock/peers\n\ngo 1.26.0\n\nrequire (\n\texample.com/redis v1.0.0\n\tholdfast v0.0.0\n)\n\n" +
		"replace holdfast => ../..\n",
	"lint.yml": "name: holdfast\nmodule-path: holdfast\nlocal-prefixes: [holdfast]\nlocal_prefix: holdfast\n" +
		"pkgs: [{pkg: holdfast/ent$}, (*holdfast/ent.Tx).Rollback, holdfast/unknown]\nimage: example.com/holdfast/ent\n",
	"README.md":               "# holdfast\n\nImport `holdfast/lock/peers`; run `bin/holdfast`, see https://example.com/holdfast/lock.\n",
	"lock/testdata/input.txt": "holdfast/ent",
	"picture":                 "\x00holdfast/ent",
}

var after = map[string]string{
	"go.mod": "module example.com/you/holdfast\n\ngo 1.26.0\n\nrequire example.com/holdfast v1.0.0\n",
	"graph/graph.go": `// Package graph is described in [example.com/you/holdfast/graph/model], not in [holdfast/other].
package graph

import (
	"fmt"

	"example.com/holdfast/graph"
	"example.com/you/holdfast/ent"
	model "example.com/you/holdfast/graph/model"
	"other/holdfast/graph"
)

// holdfast is no path, and holdfast_changes_total, holdfast:lock and HOLDFAST_URL are none.
const function, name, file = "example.com/you/holdfast/graph.Run", "holdfast", "/tmp/holdfast/graph"
`,
	"graph/model/model.go": "package model\n",
	"ent/ent.go":           "package ent\n",
	"lock/peers/go.mod": "module example.com/you/holdfast/lock/peers\n\ngo 1.26.0\n\nrequire (\n\texample.com/redis v1.0.0\n" +
		"\texample.com/you/holdfast v0.0.0\n)\n\nreplace example.com/you/holdfast => ../..\n",
	"lint.yml": "name: holdfast\nmodule-path: example.com/you/holdfast\nlocal-prefixes: [example.com/you/holdfast]\n" +
		"local_prefix: example.com/you/holdfast\npkgs: [{pkg: example.com/you/holdfast/ent$}, " +
		"(*example.com/you/holdfast/ent.Tx).Rollback, holdfast/unknown]\nimage: example.com/holdfast/ent\n",
	"README.md": "# holdfast\n\nImport `example.com/you/holdfast/lock/peers`; run `bin/holdfast`, " +
		"see https://example.com/holdfast/lock.\n",
	"lock/testdata/input.txt": "holdfast/ent",
	"picture":                 "\x00holdfast/ent",
}

func write(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func expect(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	root := write(t, before)
	from, changed, err := rename(root, "example.com/you/holdfast")
	if from != "holdfast" || changed != 5 || err != nil {
		t.Errorf("renamed %q in %d files, %v; want holdfast in 5", from, changed, err)
	}
	expect(t, root, after)

	// Again, to a path of which the one before is a part.
	for _, to := range []string{"example.com/you/holdfast/graph", "example.com/you/holdfast"} {
		if _, changed, err = rename(root, to); changed != 5 || err != nil {
			t.Errorf("renamed to %s in %d files, %v; want 5", to, changed, err)
		}
	}
	expect(t, root, after)
	if _, changed, err = rename(root, "example.com/you/holdfast"); changed != 0 || err != nil {
		t.Errorf("renamed to the same path in %d files, %v", changed, err)
	}
}

func TestRenameRefuses(t *testing.T) {
	t.Parallel()
	root := write(t, before)
	for _, path := range []string{"", "holdfast", "example.com/", "example.com/a b", "https://example.com/x", "example.com/../x", "Example.com/x"} {
		if _, _, err := rename(root, path); err == nil || !strings.Contains(err.Error(), "a path looks like example.com/you/holdfast") {
			t.Errorf("path %q: %v", path, err)
		}
	}
	expect(t, root, before)

	for name, content := range map[string]string{"graph/graph.go": "package", "lock/peers/go.mod": "modul x", "go.mod": "go 1.26.0\n"} {
		root := write(t, before)
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := rename(root, "example.com/you/holdfast"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a faulty %s: %v", name, err)
		}
	}
}
