package clients

import (
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// embeddedTick is how often the embedded Redis expires keys. A key may therefore go up to one tick early or late: a
// lease of 100 ms, the least that the configuration takes, still lives for 80.
const embeddedTick = 20 * time.Millisecond

// elapsed is by how much the embedded Redis' clock goes on. A busy machine may keep its ticker waiting. A key that is set
// meanwhile must not lose that time: two callers would hold one lock. So the clock goes on by two ticks at most, and all keys
// live longer by the rest.
func elapsed(last, now time.Time) time.Duration { return min(now.Sub(last), 2*embeddedTick) }

// startEmbedded runs a Redis on a free port of 127.0.0.1. It persists nothing.
func startEmbedded() (address string, stop func(), err error) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		// Its keys do not expire by themselves: somebody has to tell it that time passes. Its own way, ClockTTL,
		// looks at all keys at each command. The command TIME follows the real clock in any case.
		ticker := time.NewTicker(embeddedTick)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			now := time.Now()
			server.FastForward(elapsed(last, now))
			last = now
		}
	})
	return server.Addr(), sync.OnceFunc(func() {
		close(ended)
		clock.Wait()
		server.Close()
	}), nil
}
