package main

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// newPath is the path that the tests give to the module.
const newPath = "example.com/you/holdfast"

// commandTimeout bounds each command of these tests. On two idle cores none takes more than two minutes.
const commandTimeout = 25 * time.Minute

// checkOnly skips a test that builds a copy of the tree, which takes minutes, outside of make check.
func checkOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("HOLDFAST_CHECK") != "1" {
		t.Skip("builds a copy of this tree; make check runs it, or HOLDFAST_CHECK=1")
	}
}

// run runs a command in a directory, with additions to the environment, and returns what it printed. It must succeed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	// With -trimpath, what is built does not depend on the directory, so that copies share the build cache.
	cmd.Env = append(os.Environ(), append([]string{"GOFLAGS=-trimpath", "GOWORK=off"}, env...)...)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	began := time.Now()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		t.Fatalf("%s, in a copy of the tree: %v after %s\n%s%s", cmd, err, time.Since(began).Round(time.Second), &out, &failure)
	}
	t.Logf("%s: %s", cmd, time.Since(began).Round(100*time.Millisecond))
	return out.String()
}

// copyTree copies this module, as git sees it with what is not committed yet, and returns the directory.
func copyTree(t *testing.T) string {
	t.Helper()
	root := filepath.Dir(strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMOD")))
	to := t.TempDir()
	names := run(t, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Lstat(from)
		if os.IsNotExist(err) {
			continue // deleted, but not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// contents returns the files of a tree.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRenamedTree: a renamed module builds, and its generators write what is there.
func TestRenamedTree(t *testing.T) {
	t.Parallel()
	checkOnly(t)
	root := copyTree(t)
	run(t, root, nil, "make", "module-path", "MODULE="+newPath)
	run(t, root, nil, "go", "build", "./...")
	run(t, root, nil, "go", "vet", "./...")

	before := contents(t, root)
	run(t, root, nil, "go", "generate", "./...")
	after := contents(t, root)
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] != after[path] {
			t.Errorf("%s was out of date after make module-path", path)
		}
	}
	for path := range before {
		if filepath.Base(path) == "go.mod" && filepath.Dir(path) != root && !strings.Contains(path, "testdata") {
			run(t, filepath.Dir(path), nil, "go", "list", "-deps", "-test", "./...")
		}
	}
}

// TestForeignModule: a module outside of this one gets the lock from a module proxy, brings a lock of its own, and proves
// both.
func TestForeignModule(t *testing.T) {
	t.Parallel()
	checkOnly(t)
	root := copyTree(t)
	if _, _, err := rename(root, newPath); err != nil {
		t.Fatal(err)
	}
	proxy := publish(t, root, module.Version{Path: newPath, Version: "v1.0.0"})

	foreign, modules := t.TempDir(), t.TempDir()
	if err := os.CopyFS(foreign, os.DirFS("testdata/foreign")); err != nil {
		t.Fatal(err)
	}
	downloads := filepath.Join(strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMODCACHE")), "cache", "download")
	env := []string{
		// The go command may change go.mod and go.sum of the foreign module, and a temporary directory can be removed.
		"GOFLAGS=-trimpath -mod=mod -modcacherw", "GOMODCACHE=" + modules,
		"GOPROXY=file://" + filepath.ToSlash(proxy) + ",file://" + filepath.ToSlash(downloads), "GOSUMDB=off", "GONOPROXY=none", "GOPRIVATE=",
	}
	run(t, foreign, env, "go", "get", newPath+"@v1.0.0")
	run(t, foreign, env, "go", "vet", "./...")
	out := run(t, foreign, env, "go", "test", "-count=1", "-timeout=20m", "-v", "./...")
	if !strings.Contains(out, "--- PASS: TestOwnLock/several_keys_all_or_none") {
		t.Errorf("the foreign module did not prove its own lock:\n%s", out)
	}
	if _, err := exec.LookPath("redis-server"); err == nil && !strings.Contains(out, "--- PASS: TestHandoff/first_in_first_out") {
		t.Errorf("the foreign module did not prove the hand-off lock on redis-server:\n%s", out)
	}
}

// publish packs a tree as a version of a module, and returns the directory of a module proxy that has it.
func publish(t *testing.T, root string, version module.Version) (proxy string) {
	t.Helper()
	proxy = t.TempDir()
	escaped, err := module.EscapePath(version.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := zip.CreateFromDir(&packed, version, root); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if got := modfile.ModulePath(manifest); got != version.Path {
		t.Fatalf("the renamed module is %q, want %q", got, version.Path)
	}
	for name, content := range map[string][]byte{
		"list":                    []byte(version.Version + "\n"),
		version.Version + ".info": []byte(`{"Version":"` + version.Version + `"}`),
		version.Version + ".mod":  manifest,
		version.Version + ".zip":  packed.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return proxy
}
