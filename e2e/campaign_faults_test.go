package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/ent/familystrategy"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// outage is how long a store is away.
const outage = 2500 * time.Millisecond

// fault is something that happens to a store, and what customers may be told meanwhile besides success and honest refusals.
type fault struct {
	name   string
	losses losses
	strike func(t *testing.T, c *campaign, redis, postgres *testenv.Server)
	codes  []string
}

var (
	redisFrozen = fault{
		"redis is frozen", lossless, func(t *testing.T, _ *campaign, redis, _ *testenv.Server) {
			t.Helper()
			must(t, redis.Pause())
			<-time.After(outage)
			must(t, redis.Resume())
		}, []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted},
	}
	redisKilled = fault{
		"redis is killed", lossless, func(t *testing.T, _ *campaign, redis, _ *testenv.Server) {
			t.Helper()
			must(t, redis.Kill())
			<-time.After(outage / 5)
			must(t, redis.Restart())
		}, []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted},
	}
	redisEmptied = fault{
		"redis is emptied", lossy, func(t *testing.T, c *campaign, _, _ *testenv.Server) {
			t.Helper()
			for range 3 {
				c.flush(t)
				c.await(t, 20)
			}
		}, []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted},
	}
	redisForgets = fault{"redis is killed and forgets", lossy, redisKilled.strike, redisKilled.codes}
	postgresDown = fault{
		"postgres is killed", lossless, func(t *testing.T, _ *campaign, _, postgres *testenv.Server) {
			t.Helper()
			must(t, postgres.Kill())
			<-time.After(outage)
			must(t, postgres.Restart())
		}, []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted},
	}
	redisAway = fault{
		// One instance may go back to Redis a moment before the other stops writing to the database alone.
		"redis is away and the database goes on", drifting, func(t *testing.T, c *campaign, redis, _ *testenv.Server) {
			t.Helper()
			must(t, redis.Kill())
			c.served(t, len(lockprovider.Families))
			c.await(t, 100) // answers, while redis is away
			must(t, redis.Restart())
			c.served(t, 0)
		}, []string{"UNAVAILABLE", "LOCK_TIMEOUT", "LOCK_LOST", accepted},
	}
)

// TestCampaignFaults lets the stores of a shop fail, one after the other, under the same load.
func TestCampaignFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many servers")
	}
	noLeaks(t)
	postgres := testenv.PostgresServer(t)
	forgets := []string{}
	remembers := []string{"--appendonly", "yes"}
	type trial struct {
		variant
		redis  []string
		faults []fault
	}
	usual := []fault{redisFrozen, redisKilled, postgresDown, redisEmptied}
	var trials []trial
	for _, v := range variants() {
		info := v.info()
		if !longCampaign() && v.strategy != lockprovider.Lua && v.strategy != lockprovider.PubSub {
			continue // the conformance suite has the same faults for one change at a time
		}
		if longCampaign() || len(v.settings) == 0 {
			trials = append(trials, trial{v, remembers, usual})
		}
		if info.WritesBehind {
			trials = append(trials, trial{v, forgets, []fault{redisForgets}})
		}
		if info.Needs.Redis && longCampaign() { // TestCampaignFallback has a short form of this
			trials = append(trials, trial{v.with("fallback=rowlock"), remembers, []fault{redisAway}})
		}
	}
	for i, test := range trials {
		t.Run(strings.TrimSpace(test.String()+" "+strings.Join(test.redis, "")), func(t *testing.T) {
			redis := testenv.Redis(t, test.redis...)
			s := stores{database: anotherDatabase(t, postgres, fmt.Sprintf("campaign_%d", i)), redis: redis.URL}
			c := newCampaign(t, s, test.variant)
			c.redisFails = true
			c.refill(t)
			rounds := 1
			if longCampaign() && test.strategy == lockprovider.Lua {
				rounds = 3
			}
			for range rounds {
				for _, f := range test.faults {
					c.restock(t)
					load := c.load(t)
					c.await(t, 50)
					f.strike(t, c, redis, postgres)
					c.await(t, 50)
					load.finish(t)
					c.prove(t, f.name, f.losses, f.codes...)
				}
			}
			c.end(t)
		})
	}
}

// served waits until so many families are served without Redis.
func (c *campaign) served(t *testing.T, without int) {
	t.Helper()
	db := c.open(t)
	eventually(t, fmt.Sprintf("%d families are served without redis", without), func() bool {
		n, err := db.Ent.FamilyStrategy.Query().Where(familystrategy.Fallback(true)).Count(t.Context())
		must(t, err)
		return n == without
	})
}

// flush empties Redis.
func (c *campaign) flush(t *testing.T) {
	t.Helper()
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: setting.URL(c.redis)})
	must(t, err)
	defer redis.Close()
	must(t, redis.Client.FlushAll(t.Context()).Err())
}

// anotherDatabase creates an empty database in a server of the test's own.
func anotherDatabase(t *testing.T, server *testenv.Server, name string) string {
	t.Helper()
	db, err := sql.Open("pgx", server.URL)
	must(t, err)
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
	must(t, err)
	u, err := url.Parse(server.URL)
	must(t, err)
	u.Path = "/" + name
	return u.String()
}
