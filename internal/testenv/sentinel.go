package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is what the Sentinels call the master.
const sentinelMaster = "holdfast"

// Bounds of a promotion. They are short, so that tests are, and long enough for a machine that is busy with other tests.
const (
	sentinelDownAfter = 500 * time.Millisecond
	sentinelFailover  = 5 * time.Second  // the Sentinels' own bound; twice that until they try again
	promotionTimeout  = 60 * time.Second // what a test waits for at most

	pingTimeout  = 5 * time.Second // one attempt at an answer
	pollInterval = 5 * time.Millisecond
)

// SentinelSet is one master with two replicas and the three Sentinels that watch them.
type SentinelSet struct {
	// URL is redis+sentinel://..., as the product's configuration takes it.
	URL string
	// Data are the three servers of which one is the master, the first in the beginning.
	Data      []*Server
	Sentinels []*Server
}

// RedisSentinel starts a private set that stops with the test, and waits until the Sentinels agree and the replicas
// follow.
func RedisSentinel(t testing.TB) *SentinelSet {
	t.Helper()
	set := &SentinelSet{}
	for range 3 {
		// Without the delay of 5 s, in which a master collects replicas before it sends them its data.
		set.Data = append(set.Data, Redis(t, "--repl-diskless-sync-delay", "0"))
		set.Sentinels = append(set.Sentinels, private(t, KindSentinel, nil))
	}
	ctx, cancel := context.WithTimeout(t.Context(), promotionTimeout)
	defer cancel()
	if err := set.connect(ctx); err != nil {
		t.Fatalf("testenv: set up Sentinel: %v\n%s", err, set.Sentinels[0].LogTail())
	}
	return set
}

func (set *SentinelSet) connect(ctx context.Context) error {
	master := set.Data[0]
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		return err
	}
	for _, replica := range set.Data[1:] {
		err := withClient(replica, func(c *redis.Client) error { return c.ReplicaOf(ctx, host, port).Err() })
		if err != nil {
			return err
		}
	}
	addrs := make([]string, 0, len(set.Sentinels))
	for _, s := range set.Sentinels {
		addrs = append(addrs, s.Addr)
		err := withClient(s, func(c *redis.Client) error {
			for _, command := range [][]any{
				{"SENTINEL", "MONITOR", sentinelMaster, host, port, "2"},
				{"SENTINEL", "SET", sentinelMaster, "failover-timeout", sentinelFailover.Milliseconds()},
			} {
				if err := c.Do(ctx, command...).Err(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := set.ReplaceAfter(ctx, sentinelDownAfter); err != nil {
		return err
	}
	query := url.Values{"master": {sentinelMaster}, "addr": addrs[1:]}
	set.URL = "redis+sentinel://" + addrs[0] + "/0?" + query.Encode()
	return pollContext(ctx, func() error { return set.ready(ctx) })
}

// ready: a failover needs a majority of Sentinels that know each other, and a replica that they can see.
func (set *SentinelSet) ready(ctx context.Context) error {
	for _, s := range set.Sentinels {
		err := withClient(s, func(c *redis.Client) error {
			fields, err := c.Do(ctx, "SENTINEL", "MASTER", sentinelMaster).StringSlice()
			if err != nil {
				return err
			}
			known := map[string]string{}
			for i := 0; i+1 < len(fields); i += 2 {
				known[fields[i]] = fields[i+1]
			}
			if known["num-slaves"] != "2" || known["num-other-sentinels"] != "2" || known["flags"] != "master" {
				return fmt.Errorf("sentinel %s sees %s replicas and %s other Sentinels of a %q", s.Addr,
					known["num-slaves"], known["num-other-sentinels"], known["flags"])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return withClient(set.Data[0], func(c *redis.Client) error {
		info, err := c.Info(ctx, "replication").Result()
		if err == nil && strings.Count(info, "state=online") != len(set.Data)-1 {
			err = fmt.Errorf("not all replicas follow: %s", info)
		}
		return err
	})
}

// ReplaceAfter sets how long a master must have been silent before the Sentinels replace it. It is half a second at first.
func (set *SentinelSet) ReplaceAfter(ctx context.Context, silent time.Duration) error {
	for _, s := range set.Sentinels {
		err := withClient(s, func(c *redis.Client) error {
			return c.Do(ctx, "SENTINEL", "SET", sentinelMaster, "down-after-milliseconds", silent.Milliseconds()).Err()
		})
		if err != nil {
			return fmt.Errorf("testenv: %w", err)
		}
	}
	return nil
}

// Master returns the server that most Sentinels call the master.
func (set *SentinelSet) Master(ctx context.Context) (*Server, error) {
	votes := map[string]int{}
	for _, s := range set.Sentinels {
		_ = withClient(s, func(c *redis.Client) error { // One that does not answer has no vote.
			addr, err := c.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinelMaster).StringSlice()
			if err == nil && len(addr) == 2 {
				votes[net.JoinHostPort(addr[0], addr[1])]++
			}
			return err
		})
	}
	for _, s := range set.Data {
		if votes[s.Addr] > len(set.Sentinels)/2 {
			return s, nil
		}
	}
	return nil, fmt.Errorf("testenv: the Sentinels do not agree on a master: %v", votes)
}

// Promote has the Sentinels replace a master that is well, and returns the new one. To see them replace one that is not,
// Kill or Pause it and call [SentinelSet.AwaitPromotion].
func (set *SentinelSet) Promote(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, promotionTimeout)
	defer cancel()
	before, err := set.Master(ctx)
	if err != nil {
		return nil, err
	}
	err = pollContext(ctx, func() error { // They refuse for a moment after a failover: INPROG, NOGOODSLAVE.
		return withClient(set.Sentinels[0], func(c *redis.Client) error {
			return c.Do(ctx, "SENTINEL", "FAILOVER", sentinelMaster).Err()
		})
	})
	if err != nil {
		return nil, fmt.Errorf("testenv: failover: %w", err)
	}
	return set.AwaitPromotion(ctx, before)
}

// AwaitPromotion waits until the Sentinels agree on a master other than the one before and it accepts writes.
func (set *SentinelSet) AwaitPromotion(ctx context.Context, before *Server) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, promotionTimeout)
	defer cancel()
	var master *Server
	err := pollContext(ctx, func() (err error) {
		if master, err = set.Master(ctx); err != nil {
			return err
		}
		if master == before {
			return fmt.Errorf("%s is still the master", before.Addr)
		}
		return withClient(master, func(c *redis.Client) error {
			role, err := c.Do(ctx, "ROLE").Slice()
			if err == nil && (len(role) == 0 || role[0] != "master") {
				err = fmt.Errorf("%s is not a master yet: %v", master.Addr, role)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("testenv: no promotion: %w", err)
	}
	return master, nil
}

// withClient calls one server for a short time. One that is down is asked again by those who poll, and not here.
func withClient(s *Server, use func(*redis.Client) error) error {
	c := redis.NewClient(&redis.Options{
		Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: pingTimeout, ReadTimeout: pingTimeout,
		ContextTimeoutEnabled: true, PoolSize: 1, Protocol: 2, DisableIdentity: true,
	})
	return errors.Join(use(c), c.Close())
}

// pollContext calls done until it succeeds or the context ends, which returns the last failure.
func pollContext(ctx context.Context, done func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
