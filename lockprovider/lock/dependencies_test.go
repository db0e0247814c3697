package lock_test

import (
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"holdfast/lockprovider/lock"
)

// TestDependencies: a program that wants a lock gets a lock, and not the rest of this module with its databases. The
// packages import the standard library and Redis clients, with what these import themselves.
func TestDependencies(t *testing.T) {
	t.Parallel()
	here := reflect.TypeFor[lock.Settings]().PkgPath()
	allowed := []string{
		here,
		"github.com/redis/go-redis/v9",
		"github.com/go-redsync/redsync/v4",
		// What go-redis imports.
		"github.com/cespare/xxhash/v2", "go.uber.org/atomic", "golang.org/x/sys/cpu",
	}
	for _, pkg := range []string{here, here + "/handoff"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg)
		var failure strings.Builder
		cmd.Stderr = &failure
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, failure.String())
		}
		imports := strings.Fields(string(out))
		if !slices.Contains(imports, pkg) {
			t.Fatalf("go list does not list %s itself: %v", pkg, imports)
		}
		for _, imported := range imports {
			within := func(root string) bool { return imported == root || strings.HasPrefix(imported, root+"/") }
			if !slices.ContainsFunc(allowed, within) {
				t.Errorf("%s depends on %s", pkg, imported)
			}
			// No import runs back up: the lock does not know how it is handed off.
			if pkg == here && strings.HasPrefix(imported, here+"/") {
				t.Errorf("%s depends on %s", pkg, imported)
			}
		}
	}
}
