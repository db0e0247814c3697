package servers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// helperVar makes this test binary a process that starts servers and waits to be killed.
const helperVar = "HOLDFAST_SERVERS_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) != "" {
		helper()
	}
	code := m.Run()
	root := theHousehold.root
	err := Stop()
	if err == nil {
		err = goleak.Find()
	}
	if _, statErr := os.Stat(root); root != "" && !errors.Is(statErr, os.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("%s is still there: %w", root, statErr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "after Stop:", err)
		code = 1
	}
	os.Exit(code)
}

// queryTimeout is ample for processes that end.
const queryTimeout = time.Minute

// need skips the test, or fails it under REQUIRE_SERVERS=1, where the program is not installed.
func need(t *testing.T, kind Kind) {
	t.Helper()
	if err := Missing(kind); err != nil && os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
}

func TestNotInstalled(t *testing.T) { // Not parallel: it adds a program.
	const absent Kind = "absent"
	programs[absent] = &program{debian: "absent-server", files: []string{"absentd"}}
	defer delete(programs, absent)
	if Have(absent) {
		t.Error("Have finds what is not there")
	}
	_, err := Start(t.Context(), absent)
	if !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Start = %v, want ErrNotInstalled", err)
	}
	const message = "absentd not found on PATH: install it (Debian: apt-get install absent-server)"
	if missing := Missing(absent); missing == nil || missing.Error() != message {
		t.Errorf("%v, want %s", missing, message)
	}
}

func TestStopIsFinal(t *testing.T) {
	t.Parallel()
	need(t, KindRedis)
	s, err := Start(t.Context(), KindRedis)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory is still there: %v", err)
	}
	for name, method := range map[string]func() error{
		"Kill": s.Kill, "Restart": s.Restart, "Pause": s.Pause, "Resume": s.Resume,
	} {
		if err := method(); err == nil {
			t.Errorf("%s after Stop succeeds", name)
		}
	}
}

func TestStartFailureShowsTheLog(t *testing.T) {
	t.Parallel()
	need(t, KindRedis)
	s, err := Start(t.Context(), KindRedis, "--no-such-option", "1")
	if err == nil {
		_ = s.Stop()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error does not show the log: %v", err)
	}
}

// The household of this process is on disk or in memory by whoever started the first server, so one of its own is asked.
func TestDataAreInMemoryIfThereIsRoom(t *testing.T) {
	for _, tc := range []struct {
		name, tmpdir string
		inMemory     bool
		parent       string
	}{
		{"as it was", "", false, "/tmp"},
		{"in memory", "", true, cmp.Or(memoryDirectory(), "/tmp")},
		{"TMPDIR goes first", t.TempDir(), true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("TMPDIR", tc.tmpdir)
			h := &household{inMemory: tc.inMemory}
			if err := h.open(); err != nil {
				t.Fatal(err)
			}
			root := h.root
			if err := h.close(); err != nil {
				t.Error(err)
			}
			if parent := filepath.Dir(root); parent != cmp.Or(tc.parent, tc.tmpdir) {
				t.Errorf("data are in %s, want them below %s", root, cmp.Or(tc.parent, tc.tmpdir))
			}
		})
	}
}

func TestLookupPrefersTheNewestVersion(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, version := range []string{"9.6", "15", "8.4"} {
		dir := filepath.Join(root, "postgresql", version, "bin")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "some-absent-tool"), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := lookup("some-absent-tool", []string{filepath.Join(root, "postgresql", "*", "bin")})
	if want := filepath.Join(root, "postgresql", "15", "bin", "some-absent-tool"); !ok || got != want {
		t.Errorf("lookup = %q, %v, want %q", got, ok, want)
	}
}

// TestKilledProcessLeavesNothing kills a process that has servers, as a test timeout or the kernel's memory killer
// would, and looks for what is left.
func TestKilledProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("servers die with their parent on Linux only")
	}
	kinds := []Kind{KindRedis, KindPostgres}
	if testing.Short() {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			need(t, kind)
			helper := exec.CommandContext(t.Context(), os.Args[0])
			helper.Env = append(os.Environ(), helperVar+"="+string(kind))
			helper.Stderr = os.Stderr
			stdout, err := helper.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := helper.Start(); err != nil {
				t.Fatal(err)
			}
			var (
				pid  int
				root string
			)
			_, scanErr := fmt.Fscanln(bufio.NewReader(stdout), &pid, &root)
			table, tableErr := processes()
			if err := errors.Join(scanErr, tableErr); err != nil {
				t.Fatal(err)
			}
			family := append(childrenOf(table, pid), pid)
			if err := helper.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = helper.Wait() // "signal: killed", as intended.
			err = poll(queryTimeout, func() (bool, error) {
				table, err := processes()
				if err != nil {
					return false, err
				}
				for _, pid := range family {
					if p, ok := table[pid]; ok && !p.dead() {
						return false, nil
					}
				}
				_, err = os.Stat(root)
				return errors.Is(err, os.ErrNotExist), nil
			})
			if err != nil {
				t.Errorf("processes %v or %s survive their parent: %v", family, root, err)
			}
		})
	}
}

// helper starts a server, says where it is and waits to be killed.
func helper() {
	s, err := Start(context.Background(), Kind(os.Getenv(helperVar)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(strconv.Itoa(s.cmd.Process.Pid), theHousehold.root)
	select {}
}
