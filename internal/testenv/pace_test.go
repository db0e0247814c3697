package testenv

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded is a testing.TB that notes what it is told. The goroutine that fails it ends.
type recorded struct {
	testing.TB
	failed, skipped bool
	log             []string
}

func (*recorded) Helper() {}

func (r *recorded) Log(args ...any) { r.log = append(r.log, fmt.Sprintln(args...)) }
func (r *recorded) Logf(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorded) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
	runtime.Goexit()
}

func (r *recorded) SkipNow() {
	r.skipped = true
	runtime.Goexit()
}

// paced runs a test with Paced and returns how it ended.
func paced(t *testing.T, tolerated time.Duration, test func(testing.TB, float64)) *recorded {
	t.Helper()
	t.Setenv(SlownessVar, "2")
	r := &recorded{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Paced(r, tolerated, test)
	}()
	<-done
	return r
}

// Bounds that no wait of this process is longer than, or that each of them is.
const (
	never  = 24 * time.Hour
	always = -24 * time.Hour
)

func TestPacedFailsAtOnce(t *testing.T) {
	var factors []float64
	r := paced(t, never, func(t testing.TB, factor float64) {
		factors = append(factors, factor)
		t.Errorf("wrong")
	})
	if !r.failed || !slices.Equal(factors, []float64{2}) {
		t.Errorf("failed %v with %v, want one attempt with 2", r.failed, factors)
	}
	if log := strings.Join(r.log, ""); !strings.Contains(log, "pace_test.go") || !strings.Contains(log, "wrong") {
		t.Errorf("the log does not tell what and where: %s", log)
	}
}

func TestPacedBeginsAgainIfDisturbed(t *testing.T) {
	var factors []float64
	fails := 2
	test := func(t testing.TB, factor float64) {
		factors = append(factors, factor)
		if len(factors) <= fails {
			t.Fatalf("too slow")
		}
	}
	if r := paced(t, always, test); r.failed || !slices.Equal(factors, []float64{2, 8, maxSlowness}) {
		t.Errorf("failed %v with %v, want to pass with the third", r.failed, factors)
	}
	factors, fails = nil, 3
	if r := paced(t, always, test); !r.failed || len(factors) != 3 {
		t.Errorf("failed %v with %v, want to fail with the third", r.failed, factors)
	}
}

func TestPacedCleansUp(t *testing.T) {
	var order []string
	r := paced(t, never, func(t testing.TB, _ float64) {
		ctx := t.Context()
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			order = append(order, "second")
			t.Fatal("in a cleanup")
		})
		t.Cleanup(func() { order = append(order, fmt.Sprint(ctx.Err())) })
		t.Skip("not here")
	})
	if want := []string{"context canceled", "second", "first"}; !slices.Equal(order, want) {
		t.Errorf("cleaned up in the order %v, want %v", order, want)
	}
	if !r.failed { // a failure counts more than a skip
		t.Error("what failed in a cleanup does not count")
	}
	if r := paced(t, never, func(t testing.TB, _ float64) { t.Skip("not here") }); r.failed || !r.skipped {
		t.Errorf("failed %v, skipped %v, want skipped", r.failed, r.skipped)
	}
}

func TestSlowness(t *testing.T) {
	if f := measureSlowness(); f < 1 || f > maxSlowness {
		t.Errorf("slowness %v", f)
	}
	t.Setenv(SlownessVar, "7")
	if got := Scaled(time.Second); got != 7*time.Second {
		t.Errorf("Scaled = %v, want 7s", got)
	}
	t.Setenv(SlownessVar, "0.5")
	defer func() {
		if recover() == nil {
			t.Error("a slowness below 1 is accepted")
		}
	}()
	Slowness()
}
