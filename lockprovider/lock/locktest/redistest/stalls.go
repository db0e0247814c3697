package redistest

import (
	"sync"
	"testing"
	"time"
)

// A lease is lost by the clock. A holder learns of it from a timer of his process, some hundredths of the lease before Redis
// gives the lock away: where the machine keeps the process waiting for longer than that, he learns of it late, whatever the
// lock does. That is what fencing tokens are for, and no fault of the lock. So a scenario that finds two holders at once looks
// whether its own process stood still meanwhile, and if so it begins again.

// stallMeter measures how long this process is kept waiting.
type stallMeter struct {
	mu    sync.Mutex
	worst time.Duration
}

const meterEvery = time.Millisecond

func newStallMeter(t testing.TB) *stallMeter {
	m := &stallMeter{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(meterEvery)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			now := time.Now()
			m.mu.Lock()
			m.worst = max(m.worst, now.Sub(last)-meterEvery)
			m.mu.Unlock()
			last = now
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return m
}

// stalled tells whether the process was kept waiting for so long that a lease could end unnoticed, since it was last asked.
func (m *stallMeter) stalled(lease time.Duration) (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	worst := m.worst
	m.worst = 0
	return worst, worst > lease/100 // half of the margin that lockers leave
}

// attempts bounds how often a scenario begins again. A machine that is never still enough fails it.
const attempts = 5

// undisturbed calls a scenario, which returns what it has found wrong, until it finds nothing or was not disturbed.
func undisturbed(t testing.TB, lease time.Duration, scenario func() string) {
	t.Helper()
	m := newStallMeter(t)
	for attempt := 1; ; attempt++ {
		m.stalled(lease)
		wrong := scenario()
		if wrong == "" {
			return
		}
		worst, stalled := m.stalled(lease)
		if !stalled || attempt == attempts {
			t.Errorf("%s (attempt %d, in which this process was kept waiting for up to %v)", wrong, attempt, worst)
			return
		}
		t.Logf("%s, but this process was kept waiting for up to %v: once more", wrong, worst)
	}
}
