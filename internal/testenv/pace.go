package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// SlownessVar is the environment variable that replaces what [Slowness] measures, with a number from 1 to 20.
const SlownessVar = "HOLDFAST_TEST_SLOWNESS"

// maxSlowness bounds what is measured: leases that are longer than that would make the tests endless.
const maxSlowness = 20

// slowness is the last measurement.
var slowness struct {
	mu       sync.Mutex
	measured time.Time
	factor   float64
}

// Slowness tells how many times as long as on an idle machine a test should let its leases and timeouts be, from 1 to 20. It
// measures, for some hundredths of a second and at most once a second, how late timers fire and for how long the process waits
// for a processor. What was measured before counts for some seconds more: load comes in waves.
func Slowness() float64 {
	if text := os.Getenv(SlownessVar); text != "" {
		factor, err := strconv.ParseFloat(text, 64)
		if err != nil || factor < 1 || factor > maxSlowness {
			panic(fmt.Sprintf("%s=%s: want a number from 1 to %d", SlownessVar, text, maxSlowness))
		}
		return factor
	}
	slowness.mu.Lock()
	defer slowness.mu.Unlock()
	if slowness.factor == 0 || time.Since(slowness.measured) > time.Second {
		slowness.factor = max(measureSlowness(), slowness.factor*0.8)
		slowness.measured = time.Now()
	}
	return slowness.factor
}

// Scaled is a duration times [Slowness].
func Scaled(d time.Duration) time.Duration { return scale(d, Slowness()) }

func scale(d time.Duration, factor float64) time.Duration {
	return time.Duration(float64(d) * factor)
}

// tolerable is how late a timer may fire without slowing a test down: leases of tests are a hundred times as long, or more.
const tolerable = 5 * time.Millisecond

func measureSlowness() float64 {
	const times, pause = 10, 2 * time.Millisecond
	worst := time.Duration(0)
	for range times {
		began := time.Now()
		time.Sleep(pause)
		for sum := 0; sum < 200_000; sum++ { // some tenths of a millisecond of work, in which the process may lose its processor
			runtime.KeepAlive(sum)
		}
		worst = max(worst, time.Since(began)-pause)
	}
	return min(max(1, float64(worst)/float64(tolerable)), maxSlowness)
}

// StallMeter measures for how long this process is kept waiting. The processes beside it, such as a Redis, fare no better.
type StallMeter struct {
	mu      sync.Mutex
	worst   time.Duration
	stop    chan struct{}
	stopped chan struct{}
}

const meterEvery = time.Millisecond

// NewStallMeter starts to measure. The caller stops it.
func NewStallMeter() *StallMeter {
	m := &StallMeter{stop: make(chan struct{}), stopped: make(chan struct{})}
	go m.run()
	return m
}

func (m *StallMeter) run() {
	defer close(m.stopped)
	ticker := time.NewTicker(meterEvery)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		}
		now := time.Now()
		m.mu.Lock()
		m.worst = max(m.worst, now.Sub(last)-meterEvery)
		m.mu.Unlock()
		last = now
	}
}

// Worst is the longest wait since the last call.
func (m *StallMeter) Worst() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	worst := m.worst
	m.worst = 0
	return worst
}

// Stop ends the measurement.
func (m *StallMeter) Stop() {
	close(m.stop)
	<-m.stopped
}

// pacedAttempts bounds how often Paced begins again; slowerBy is by how much slower it takes the machine to be each time.
const (
	pacedAttempts = 3
	slowerBy      = 4
)

// Paced runs a test that keeps to leases or timeouts of its own, which it multiplies with the slowness that it is given. On a
// slow machine a lease can end although nothing is wrong. So a failure counts if this process was never kept waiting for longer
// than tolerated, or if it is the third: before each further attempt the leases become four times as long.
func Paced(t testing.TB, tolerated time.Duration, test func(t testing.TB, slowness float64)) {
	t.Helper()
	factor := Slowness()
	for n := 1; ; n++ {
		meter := NewStallMeter()
		a := newAttempt(t)
		a.run(func(t testing.TB) { test(t, factor) })
		worst := meter.Worst()
		meter.Stop()
		disturbed := worst > tolerated
		if a.failed && disturbed && n < pacedAttempts {
			t.Logf("attempt %d, slowness %.1f, failed while this process was kept waiting for up to %v; once more\n%s",
				n, factor, worst, strings.Join(a.log, "\n"))
			factor = min(factor*slowerBy, maxSlowness)
			continue
		}
		if len(a.log) > 0 {
			t.Log("\n" + strings.Join(a.log, "\n"))
		}
		switch {
		case a.failed:
			t.Fatalf("attempt %d, slowness %.1f; this process was kept waiting for up to %v", n, factor, worst)
		case a.skipped:
			t.SkipNow()
		}
		return
	}
}

// attempt is the testing.TB of one attempt: what fails in it fails the attempt, and not the test yet.
type attempt struct {
	testing.TB // for everything else

	ctx    context.Context //nolint:containedctx // It is what Context returns.
	cancel context.CancelFunc

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      []string
	cleanups []func()
	helpers  map[string]bool // functions, by name
}

func newAttempt(t testing.TB) *attempt {
	ctx, cancel := context.WithCancel(t.Context())
	return &attempt{TB: t, ctx: ctx, cancel: cancel, helpers: map[string]bool{}}
}

// run returns when the test and its cleanups have ended.
func (a *attempt) run(test func(testing.TB)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer a.cleanUp()
		defer a.cancel()
		test(a)
	}()
	<-ended
}

// cleanUp calls the latest cleanup first, and the others also if one ends this goroutine.
func (a *attempt) cleanUp() {
	a.mu.Lock()
	if len(a.cleanups) == 0 {
		a.mu.Unlock()
		return
	}
	last := len(a.cleanups) - 1
	f := a.cleanups[last]
	a.cleanups = a.cleanups[:last]
	a.mu.Unlock()
	defer a.cleanUp()
	f()
}

func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *attempt) Skipped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.skipped
}

func (a *attempt) Fail() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
}

func (a *attempt) FailNow() {
	a.Fail()
	runtime.Goexit()
}

func (a *attempt) SkipNow() {
	a.mu.Lock()
	a.skipped = true
	a.mu.Unlock()
	runtime.Goexit()
}

// Helper notes the caller, whose lines are not named in the log.
func (a *attempt) Helper() {
	pc := make([]uintptr, 1)
	runtime.Callers(2, pc)
	frame, _ := runtime.CallersFrames(pc).Next()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.helpers[frame.Function] = true
}

// say notes a line with the place in the test that it is about.
func (a *attempt) say(text string) {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		frame, more := frames.Next()
		if !more || !a.helpers[frame.Function] {
			a.log = append(a.log, fmt.Sprintf("%s:%d: %s", filepath.Base(frame.File), frame.Line, strings.TrimSpace(text)))
			return
		}
	}
}

func (a *attempt) Log(args ...any)                 { a.say(fmt.Sprintln(args...)) }
func (a *attempt) Logf(format string, args ...any) { a.say(fmt.Sprintf(format, args...)) }

func (a *attempt) Error(args ...any) {
	a.say(fmt.Sprintln(args...))
	a.Fail()
}

func (a *attempt) Errorf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	a.Fail()
}

func (a *attempt) Fatal(args ...any) {
	a.say(fmt.Sprintln(args...))
	a.FailNow()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	a.FailNow()
}

func (a *attempt) Skip(args ...any) {
	a.say(fmt.Sprintln(args...))
	a.SkipNow()
}

func (a *attempt) Skipf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	a.SkipNow()
}
