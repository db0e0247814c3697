package locktest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// trial is a test that fails without failing the test around it.
type trial struct {
	testing.TB

	mu       sync.Mutex
	failed   bool
	lines    []string
	cleanups []func()
}

// attempt runs a function as a test of its own.
func attempt(t testing.TB, run func(testing.TB)) *trial {
	t.Helper()
	a := &trial{TB: t}
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		defer a.cleanUp()
		run(a)
	}()
	<-done
	return a
}

func (a *trial) cleanUp() {
	for {
		a.mu.Lock()
		n := len(a.cleanups)
		if n == 0 {
			a.mu.Unlock()
			return
		}
		f := a.cleanups[n-1]
		a.cleanups = a.cleanups[:n-1]
		a.mu.Unlock()
		f()
	}
}

func (a *trial) log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}

func (a *trial) note(failed bool, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = a.failed || failed
	a.lines = append(a.lines, text)
}

// The methods of [testing.TB] that record instead of failing the test.

func (a *trial) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *trial) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *trial) Log(args ...any)                 { a.note(false, fmt.Sprint(args...)) }
func (a *trial) Logf(format string, args ...any) { a.note(false, fmt.Sprintf(format, args...)) }

func (a *trial) Error(args ...any)                 { a.note(true, fmt.Sprint(args...)) }
func (a *trial) Errorf(format string, args ...any) { a.note(true, fmt.Sprintf(format, args...)) }

func (a *trial) Fail() { a.note(true, "failed") }

func (a *trial) FailNow() {
	a.Fail()
	runtime.Goexit()
}

func (a *trial) Fatal(args ...any) {
	a.Error(args...)
	runtime.Goexit()
}

func (a *trial) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	runtime.Goexit()
}
