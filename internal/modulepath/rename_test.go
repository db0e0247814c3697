package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// before is a module in which the word shop stands for its path, and for much else.
var before = map[string]string{
	"go.mod": "module shop\n\ngo 1.26.0\n\nrequire example.com/shop v1.0.0\n",
	"graph/graph.go": `// Package graph is described in [shop/graph/model], not in [shop/other].
package graph

import (
	"fmt"

	"example.com/shop/graph"
	"shop/ent"
	model "shop/graph/model"
	"other/shop/graph"
)

// shop is no path, and shop_changes_total, shop:lock and SHOP_URL are none.
const function, name, file = "shop/graph.Run", "shop", "/tmp/shop/graph"
`,
	"graph/model/model.go": "package model\n",
	"ent/ent.go":           "package ent\n",
	"lock/peers/go.mod": "module shop/lock/peers\n\ngo 1.26.0\n\nrequire (\n\texample.com/redis v1.0.0\n\tshop v0.0.0\n)\n\n" +
		"replace shop => ../..\n",
	"lint.yml": "name: shop\nmodule-path: shop\nlocal-prefixes: [shop]\nlocal_prefix: shop\n" +
		"pkgs: [{pkg: shop/ent$}, (*shop/ent.Tx).Rollback, shop/unknown]\nimage: example.com/shop/ent\n",
	"README.md":               "# shop\n\nImport `shop/lock/peers`; run `bin/shop`, see https://example.com/shop/lock.\n",
	"lock/testdata/input.txt": "shop/ent",
	"picture":                 "\x00shop/ent",
}

var after = map[string]string{
	"go.mod": "module example.com/you/shop\n\ngo 1.26.0\n\nrequire example.com/shop v1.0.0\n",
	"graph/graph.go": `// Package graph is described in [example.com/you/shop/graph/model], not in [shop/other].
package graph

import (
	"fmt"

	"example.com/shop/graph"
	"example.com/you/shop/ent"
	model "example.com/you/shop/graph/model"
	"other/shop/graph"
)

// shop is no path, and shop_changes_total, shop:lock and SHOP_URL are none.
const function, name, file = "example.com/you/shop/graph.Run", "shop", "/tmp/shop/graph"
`,
	"graph/model/model.go": "package model\n",
	"ent/ent.go":           "package ent\n",
	"lock/peers/go.mod": "module example.com/you/shop/lock/peers\n\ngo 1.26.0\n\nrequire (\n\texample.com/redis v1.0.0\n" +
		"\texample.com/you/shop v0.0.0\n)\n\nreplace example.com/you/shop => ../..\n",
	"lint.yml": "name: shop\nmodule-path: example.com/you/shop\nlocal-prefixes: [example.com/you/shop]\n" +
		"local_prefix: example.com/you/shop\npkgs: [{pkg: example.com/you/shop/ent$}, " +
		"(*example.com/you/shop/ent.Tx).Rollback, shop/unknown]\nimage: example.com/shop/ent\n",
	"README.md": "# shop\n\nImport `example.com/you/shop/lock/peers`; run `bin/shop`, " +
		"see https://example.com/shop/lock.\n",
	"lock/testdata/input.txt": "shop/ent",
	"picture":                 "\x00shop/ent",
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
	from, changed, err := rename(root, "example.com/you/shop")
	if from != "shop" || changed != 5 || err != nil {
		t.Errorf("renamed %q in %d files, %v; want shop in 5", from, changed, err)
	}
	expect(t, root, after)

	// Again, to a path of which the one before is a part.
	for _, to := range []string{"example.com/you/shop/graph", "example.com/you/shop"} {
		if _, changed, err = rename(root, to); changed != 5 || err != nil {
			t.Errorf("renamed to %s in %d files, %v; want 5", to, changed, err)
		}
	}
	expect(t, root, after)
	if _, changed, err = rename(root, "example.com/you/shop"); changed != 0 || err != nil {
		t.Errorf("renamed to the same path in %d files, %v", changed, err)
	}
}

func TestRenameRefuses(t *testing.T) {
	t.Parallel()
	root := write(t, before)
	for _, path := range []string{"", "shop", "example.com/", "example.com/a b", "https://example.com/x", "example.com/../x", "Example.com/x"} {
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
		if _, _, err := rename(root, "example.com/you/shop"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a faulty %s: %v", name, err)
		}
	}
}
