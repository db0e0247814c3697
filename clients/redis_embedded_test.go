package clients

import (
	"testing"
	"time"
)

// TestEmbeddedClockIsNotCaughtUp: after a stall of seconds, a lease that was set a moment ago has not ended.
func TestEmbeddedClockIsNotCaughtUp(t *testing.T) {
	now := time.Now()
	if got := elapsed(now.Add(-embeddedTick), now); got != embeddedTick {
		t.Errorf("after a tick: %s, want %s", got, embeddedTick)
	}
	const shortestLease = 100 * time.Millisecond // that the configuration takes
	if got := elapsed(now.Add(-5*time.Second), now); got > shortestLease/2 {
		t.Errorf("after a stall of 5s a key is older by %s, more than half of the shortest lease", got)
	}
}
