package e2e

import (
	"maps"
	"testing"
	"time"

	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// every is how often a campaign switches.
const every = 2 * time.Second

// TestCampaignTakeover replaces the strategy of a shop every two seconds, by instances that take over, while customers go on at the
// instances that are replaced until these have stopped.
func TestCampaignTakeover(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many servers")
	}
	noLeaks(t)
	var behind, others []variant // lua, which loses most if it is not drained, in turn with each other strategy
	for _, v := range variants() {
		if v.strategy == lockprovider.Lua {
			behind = append(behind, v)
		} else {
			others = append(others, v)
		}
	}
	c := newCampaign(t, openPostgres(t), behind[0])
	takeovers := 4
	if longCampaign() {
		takeovers = 50
	}
	c.refill(t)
	load := c.load(t)
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for i := range takeovers {
		testenv.Receive(t, ticks.C, "the time of the next takeover")
		next := others[i/2%len(others)]
		if i%2 == 1 {
			next = behind[i/2%len(behind)]
		}
		c.takeOver(t, next)
		c.restock(t)
	}
	c.await(t, 50)
	load.finish(t)
	c.prove(t, "takeovers", lossless, "UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted)
	c.end(t)
}

// takeOver starts two instances with another strategy, and waits until those that they replace have stopped.
func (c *campaign) takeOver(t *testing.T, v variant) {
	t.Helper()
	replaced := c.instances()
	c.note(func() {
		c.variant, c.args = v, campaignArgs(v)
		for _, p := range replaced {
			c.dead[p.url] = true // it stops when it notices
		}
	})
	for range replaced {
		c.add(boot(t, c.production(), append(c.args, "--takeover")...))
	}
	for _, p := range replaced {
		wantEqual(t, "exit code of one that was replaced", p.wait(), exitFailed)
		p.logged("stopping: another instance has taken over")
		c.remove(p)
	}
}

// TestCampaignFallback takes Redis away every two seconds, killed or frozen in turn, and gives it back as soon as all families are
// served without it. An instance that has not gone back yet when Redis goes away again has never left its fallback.
func TestCampaignFallback(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	for _, v := range variants() {
		switch info := v.info(); {
		case !info.Needs.Redis:
			continue
		case !longCampaign() && (!info.WritesBehind || info.Traits.HeedsAck && len(v.settings) == 0):
			continue // of lua, the one that has more to lose
		}
		v = v.with("fallback=" + string(lockprovider.RowLock))
		t.Run(v.String(), func(t *testing.T) {
			noLeaks(t)
			redis := testenv.Redis(t, "--appendonly", "yes")
			c := newCampaign(t, stores{database: testenv.Postgres(t), redis: redis.URL}, v)
			c.redisFails = true
			c.pause = 0 // what one instance accepted and lost, as the other had gone back to Redis, another customer has to buy
			outages := 2
			if longCampaign() {
				outages = 20
			}
			c.refill(t)
			load := c.load(t)
			ticks := time.NewTicker(every)
			defer ticks.Stop()
			for i := range outages {
				testenv.Receive(t, ticks.C, "the time of the next outage")
				c.restock(t)
				down, up := redis.Kill, redis.Restart
				if i%2 == 1 {
					down, up = redis.Pause, redis.Resume
				}
				must(t, down())
				c.awaitEach(t, 5) // while redis is away
				must(t, up())
				c.served(t, 0)
			}
			c.await(t, 50)
			load.finish(t)
			c.prove(t, "fallback and back", drifting, redisAway.codes...)
			c.end(t)
		})
	}
}

// awaitEach waits until some more requests of each operation have a definite answer.
func (c *campaign) awaitEach(t *testing.T, answers int) {
	t.Helper()
	c.mu.Lock()
	before := maps.Clone(c.definite)
	c.mu.Unlock()
	err := c.until(bounded(t), func() bool {
		for _, operation := range []string{"placeOrder", "issueCoupon", "chargePoints", "transfer"} {
			if c.definite[operation] < before[operation]+answers {
				return false
			}
		}
		return true
	})
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Fatalf("in vain waited for %d answers to each operation: %v before, %v now", answers, before, c.definite)
	}
}
