package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	// The tests run a program that is built from these packages. Because the test binary depends on
	// them too, go test does not show a cached result after one of them has changed.
	_ "holdfast/app"
	_ "holdfast/cli"
)

// Set by TestMain, before any test.
var (
	program    string // the holdfast that the tests start
	moduleRoot string // the directory of go.mod
)

// buildTimeout bounds building the program. With cold caches it takes some minutes of CPU.
const buildTimeout = 20 * time.Minute

// withProgram builds holdfast into a temporary directory, calls run, and removes the directory.
func withProgram(run func() int) (code int, err error) {
	if moduleRoot, err = findModule(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "holdfast-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "holdfast")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	// Reading the file here makes go test look at it when it decides whether a cached result is
	// still good.
	if _, err := os.ReadFile(filepath.Join(moduleRoot, "server.go")); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	build := exec.CommandContext(ctx, "go", append(buildFlags(), "-o", program, ".")...)
	build.Dir = moduleRoot
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	go spawner()
	return run(), nil
}

// buildFlags are the arguments of go build that build the program as this test binary was built:
// then the packages of both are found in the build cache, and the race detector watches both or
// neither.
func buildFlags() []string {
	args := []string{"build", "-buildvcs=false"}
	info, _ := debug.ReadBuildInfo() // nil only for a binary that was built without modules
	for _, s := range info.Settings {
		switch {
		case s.Value == "true" && (s.Key == "-race" || s.Key == "-trimpath"):
			args = append(args, s.Key)
		case s.Key == "-tags" || s.Key == "-gcflags":
			args = append(args, s.Key+"="+s.Value)
		}
	}
	return args
}

// findModule returns the nearest directory with a go.mod, from the working directory upwards.
func findModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in the working directory or above it")
		}
		dir = parent
	}
}

// spawns are the calls that start processes. One thread runs them all and lives as long as this
// process: Linux signals a child when the thread that started it ends, and Go ends threads as it
// pleases.
var spawns = make(chan func())

func spawner() {
	runtime.LockOSThread()
	for start := range spawns {
		start()
	}
}

// spawn starts a process that ends with this one, if the system can do that; see dieWithTests.
func spawn(cmd *exec.Cmd) error {
	dieWithTests(cmd)
	started := make(chan error, 1)
	spawns <- func() { started <- cmd.Start() }
	return <-started
}
