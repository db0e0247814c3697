package handoff

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"holdfast/internal/testenv"
	"holdfast/lockprovider/lock"
)

// RedisAddresses start a Redis each, the real one and the one that is embedded, and return its address.
var RedisAddresses = map[string]func(t *testing.T) string{
	"redis": func(t *testing.T) string {
		options, err := redis.ParseURL(testenv.Redis(t).URL)
		if err != nil {
			t.Fatal(err)
		}
		return options.Addr
	},
	"embedded": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
}

// eachRedis runs a test of the scripts on a real Redis, and on the one that is embedded.
func eachRedis(t *testing.T, test func(t *testing.T, s *redisStore)) {
	t.Helper()
	for name, addr := range RedisAddresses {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: addr(t)})
			t.Cleanup(func() { _ = client.Close() })
			test(t, newRedisStore(client))
		})
	}
}

// TestLateRequests: a request that comes to Redis after its waiter has been given up takes nothing, and stands in no line.
// What the same instance asks for later is served.
func TestLateRequests(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		name := s.name("k")
		acquire := func(waiter string) bool {
			t.Helper()
			a, err := s.acquire(ctx, name, waiter, b)
			if err != nil {
				t.Fatal(err)
			}
			return a.owned
		}
		release := func(owner string, late bool) releaseResult {
			t.Helper()
			all, err := s.release(ctx, []releaseRequest{{key: name, owner: owner, refuseLate: late, bounds: b}})
			if err != nil {
				t.Fatal(err)
			}
			return all[0]
		}
		if !release("p|9", true).lost {
			t.Error("what was never taken is not lost")
		}
		release("p|2", true) // an older one, which comes later still
		if acquire("p|9") || acquire("p|2") {
			t.Error("a late request took the lock")
		}
		if all, err := s.acquireAll(ctx, []string{name, s.name("other")}, []string{"p|9", "p|8"}, b); err != nil || all != nil {
			t.Errorf("a late request took several locks: %v, %v", all, err)
		}
		if !acquire("q|1") {
			t.Error("another instance waits for nobody")
		}
		if acquire("p|10") {
			t.Error("two hold the lock")
		}
		release("p|10", true)
		if acquire("p|10") {
			t.Error("two hold the lock")
		}
		if release("q|1", false).lost {
			t.Error("it was held")
		}
		if acquire("p|9") {
			t.Error("a late request took the lock after somebody else had releaseResult it")
		}
		if !acquire("p|11") {
			t.Error("the lock was passed to a late request")
		}
		release("p|11", false)
		release("q|2", true)
		if all, err := s.release(ctx, []releaseRequest{{key: name, owner: "q|1", enqueue: "q|2", bounds: b}}); err != nil || all[0].owned {
			t.Errorf("a late release took the lock for one who had been given up: %v, %v", all, err)
		}
		for _, late := range []string{"p|9", "p|10", "q|1", "q|2"} {
			if acquire(late) {
				t.Errorf("late request %s took the lock", late)
			}
		}
		if ttl, err := s.redis.PTTL(ctx, name).Result(); err != nil || ttl > 10*time.Second || ttl == -1 {
			t.Errorf("what remembers the late ones expires in %v, %v", ttl, err)
		}
	})
}

// TestFormsOfALock: a lock that nobody else wants is a string, which becomes a hash where there is more to say, and loses nothing.
func TestFormsOfALock(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		once := bounds{lease: b.lease, grant: b.grant}
		one, two := s.name("{k}1"), s.name("{k}2")
		acquire := func(name, waiter string, b bounds) acquireResult {
			t.Helper()
			a, err := s.acquire(ctx, name, waiter, b)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		release := func(leaving ...releaseRequest) []releaseResult {
			t.Helper()
			for i := range leaving {
				leaving[i].bounds = b
			}
			answers, err := s.release(ctx, leaving)
			if err != nil {
				t.Fatal(err)
			}
			return answers
		}
		form := func(name string) string { return s.redis.Type(ctx, name).Val() }

		held := acquire(one, "p|1", b)
		if !held.owned || held.until-held.token != time.Minute.Microseconds() || form(one) != "string" {
			t.Fatalf("%+v is a %s", held, form(one))
		}
		if ttl := s.redis.PTTL(ctx, one).Val(); ttl > b.lease || ttl < b.lease-10*time.Second {
			t.Errorf("it expires in %v, its lease is %v", ttl, b.lease)
		}
		if acquire(one, "q|1", once).owned || form(one) != "hash" {
			t.Errorf("two hold the lock, or it is still a %s", form(one))
		}
		if again := acquire(one, "p|1", b); !again.owned || again.token != held.token ||
			between(again.until, held.until).Abs() > 2*time.Millisecond { // Redis tells the end of a string in ms
			t.Errorf("was %+v, and is %+v", held, again)
		}
		renewed, err := s.renew(ctx, []renewRequest{{key: one, owner: "p|1", lease: 2 * time.Minute}})
		if err != nil || renewed[0].lost || renewed[0].until <= held.until {
			t.Errorf("renewed: %+v, %v", renewed, err)
		}
		if release(releaseRequest{key: one, owner: "p|1", token: held.token, lastToken: held.token})[0].lost || form(one) != "none" {
			t.Errorf("it was lost, or is still a %s", form(one))
		}

		// A token that the clock has not passed is remembered.
		last := acquire(one, "p|2", b)
		ahead := last.token + time.Second.Microseconds()
		release(releaseRequest{key: one, owner: "p|2", token: last.token, lastToken: ahead})
		next := acquire(one, "q|2", b)
		if !next.owned || next.token <= ahead {
			t.Errorf("token %d comes after %d", next.token, ahead)
		}
		release(releaseRequest{key: one, owner: "q|2", token: next.token, lastToken: next.token})

		// Of several, one is wanted by somebody else.
		all, err := s.acquireAll(ctx, []string{one, two}, []string{"p|3", "p|4"}, b)
		if err != nil || len(all) != 2 || form(one) != "hash" || form(two) != "hash" { // the last token is still remembered
			t.Fatalf("%+v, %v: %s and %s", all, err, form(one), form(two))
		}
		release(releaseRequest{key: one, owner: "p|3", token: all[0].token, lastToken: all[0].token},
			releaseRequest{key: two, owner: "p|4", token: all[1].token, lastToken: all[1].token})
		if err := s.redis.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		all, err = s.acquireAll(ctx, []string{one, two}, []string{"p|5", "p|6"}, b)
		if err != nil || len(all) != 2 || form(one) != "string" || form(two) != "string" {
			t.Fatalf("%+v, %v: %s and %s", all, err, form(one), form(two))
		}
		if others, err := s.acquireAll(ctx, []string{two, one}, []string{"q|6", "q|5"}, b); err != nil || others != nil {
			t.Errorf("two hold the locks: %+v, %v", others, err)
		}
		answers := release(releaseRequest{key: one, owner: "p|5", token: all[0].token, lastToken: all[0].token},
			releaseRequest{key: two, owner: "p|6", token: all[1].token, lastToken: all[1].token, enqueue: "p|7"})
		if answers[0].lost || answers[1].lost || !answers[1].owned || answers[1].token <= all[1].token {
			t.Errorf("released: %+v", answers)
		}
		release(releaseRequest{key: two, owner: "p|7", token: answers[1].token, lastToken: answers[1].token})
		if form(one) != "none" || form(two) != "none" {
			t.Errorf("left: %s and %s", form(one), form(two))
		}
	})
}

// TestTokenOnDemand: a lock that nobody else wants has no token until its owner asks for one, in whatever form it is by then. Nobody else
// gets it, and the next owner's is greater.
func TestTokenOnDemand(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		name := s.name("k")
		acquireIdle := func(waiter string) bool {
			t.Helper()
			owned, err := s.acquireIdle(ctx, name, waiter, b)
			if err != nil {
				t.Fatal(err)
			}
			return owned
		}
		release := func(owner string, token, lastToken int64) {
			t.Helper()
			replies, err := s.release(ctx, []releaseRequest{{key: name, owner: owner, token: token, lastToken: lastToken, bounds: b}})
			if err != nil || replies[0].lost {
				t.Errorf("release by %s: %+v, %v", owner, replies, err)
			}
		}
		last := int64(0)
		fence := func(owner string) int64 {
			t.Helper()
			token, err := s.fence(ctx, name, owner)
			again, err2 := s.fence(ctx, name, owner)
			if err != nil || err2 != nil || token <= last || again != token {
				t.Errorf("the token of %s is %d, then %d, after %d: %v, %v", owner, token, again, last, err, err2)
			}
			last = token
			return token
		}
		for _, wanted := range []bool{false, true} {
			before := time.Now()
			if !acquireIdle("p|1") || acquireIdle("q|1") {
				t.Fatal("an idle lock is to be had once")
			}
			if _, err := s.fence(ctx, name, "q|1"); !errors.Is(err, lock.ErrLost) {
				t.Errorf("somebody else asks for the token: %v", err)
			}
			if wanted {
				if a, err := s.acquire(ctx, name, "q|1", bounds{lease: b.lease, grant: b.grant}); err != nil || a.owned {
					t.Fatalf("two hold the lock: %+v, %v", a, err)
				}
			}
			found, err := readLock(ctx, s.redis, name)
			if err != nil || found.Holder != "p" || found.Fence != 0 || found.Since.Sub(before).Abs() > time.Minute {
				t.Errorf("held since %v: %+v, %v", before, found, err)
			}
			token := fence("p|1")
			if found, err := readLock(ctx, s.redis, name); err != nil || found.Fence != token {
				t.Errorf("the token is %d: %+v, %v", token, found, err)
			}
			release("p|1", token, token)
			if _, err := s.fence(ctx, name, "p|1"); !errors.Is(err, lock.ErrLost) {
				t.Errorf("whoever has released it asks for the token: %v", err)
			}

			if !acquireIdle("p|2") {
				t.Fatal("the lock is not idle")
			}
			release("p|2", 0, 0) // nobody has asked for a token
			if n := s.redis.Exists(ctx, name).Val(); n != 0 {
				t.Error("an idle lock is left in Redis")
			}
		}
		// The reply with the token was lost: its owner releases a lock without one.
		if !acquireIdle("p|3") {
			t.Fatal("the lock is not idle")
		}
		fence("p|3")
		release("p|3", 0, 0)
		if a, err := s.acquire(ctx, name, "q|3", b); err != nil || !a.owned || a.token <= last {
			t.Errorf("%+v, %v: want a token after %d", a, err, last)
		}
	})
}

// TestReleaseLeavesTheLocksOfOthers: a release of a lock that is another waiter's by now, or nobody's, says so and changes
// nothing.
func TestReleaseLeavesTheLocksOfOthers(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		one, two := s.name("{k}1"), s.name("{k}2")
		held, err := s.acquireAll(ctx, []string{one, two}, []string{"q|1", "q|2"}, b)
		if err != nil || len(held) != 2 {
			t.Fatal(held, err)
		}
		late := func(name, owner string) releaseRequest {
			return releaseRequest{key: name, owner: owner, token: held[0].token, lastToken: held[0].token, bounds: b}
		}
		for _, requests := range [][]releaseRequest{
			{late(one, "p|1")},
			{late(one, "p|1"), late(two, "q|2")},
			{late(s.name("{k}3"), "p|3")},
		} {
			replies, err := s.release(ctx, requests)
			if err != nil || !replies[0].lost {
				t.Errorf("%+v: %+v, %v", requests, replies, err)
			}
		}
		for name, owner := range map[string]string{one: "q|1", two: ""} {
			if found, err := readLock(ctx, s.redis, name); err != nil || (found != nil) != (owner != "") {
				t.Errorf("%s: %+v, %v: want %q as its owner", name, found, err, owner)
			}
		}
	})
}

// TestTokenIsRememberedUntilTheClockPassesIt: a holder's token may be ahead of Redis' clock, since the clock was set back.
// Redis remembers it for as long as the clock shows less, and so the next token is greater.
func TestTokenIsRememberedUntilTheClockPassesIt(t *testing.T) {
	const ahead = time.Hour
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		one, two := s.name("{k}1"), s.name("{k}2")
		all, err := s.acquireAll(ctx, []string{one, two}, []string{"p|1", "p|2"}, b)
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		last := all[0].token + ahead.Microseconds()
		for _, requests := range [][]releaseRequest{ // alone, and as one of several
			{{key: one, owner: "p|1", token: all[0].token, lastToken: last, bounds: b}},
			{
				{key: one, owner: "p|3", lastToken: last + 1000, bounds: b}, // it does not hold the lock
				{key: two, owner: "p|2", token: all[1].token, lastToken: last, bounds: b},
			},
		} {
			if _, err := s.release(ctx, requests); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{one, two} {
			if ttl := s.redis.PTTL(ctx, name).Val(); ttl < ahead-time.Minute || ttl > ahead+time.Minute {
				t.Errorf("the token of %s is remembered for %v, and is %v ahead", name, ttl, ahead)
			}
			next, err := s.acquire(ctx, name, "q|1", b)
			if err != nil || !next.owned || next.token <= last {
				t.Errorf("%s: %+v, %v: want a token after %d", name, next, err, last)
			}
		}
	})
}

// TestScriptsAreLoadedAgain: Redis forgets the scripts when it restarts.
func TestScriptsAreLoadedAgain(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		for n := range 2 {
			if err := s.redis.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			name, owner := s.name("k"), "p|"+strconv.Itoa(n)
			a, err := s.acquire(ctx, name, owner, b)
			if err != nil || !a.owned {
				t.Fatal(a, err)
			}
			all, err := s.release(ctx, []releaseRequest{{key: name, owner: owner, token: a.token, lastToken: a.token, bounds: b}})
			if err != nil || all[0].lost {
				t.Fatal(all, err)
			}
		}
	})
}

// TestForeignKeyIsLeftAlone: what is not a lock is an error to whoever asks for it as one, and stays as it is.
func TestForeignKeyIsLeftAlone(t *testing.T) {
	eachRedis(t, func(t *testing.T, s *redisStore) {
		ctx := context.Background()
		b := bounds{lease: time.Minute, grant: time.Second, heartbeat: time.Minute}
		name := s.name("k")
		const foreign = "somebody else"
		if err := s.redis.Set(ctx, name, foreign, 0).Err(); err != nil {
			t.Fatal(err)
		}
		for what, ask := range map[string]func() error{
			"fence":       func() error { _, err := s.fence(ctx, name, "p|1"); return err },
			"acquire":     func() error { _, err := s.acquire(ctx, name, "p|1", b); return err },
			"acquire all": func() error { _, err := s.acquireAll(ctx, []string{name}, []string{"p|1"}, b); return err },
			"renew": func() error {
				_, err := s.renew(ctx, []renewRequest{{key: name, owner: "p|1", lease: b.lease}})
				return err
			},
			"release": func() error {
				_, err := s.release(ctx, []releaseRequest{{key: name, owner: "p|1", bounds: b}})
				return err
			},
		} {
			if err := ask(); err == nil || !strings.Contains(err.Error(), "not a lock") {
				t.Errorf("%s: %v", what, err)
			}
			if value := s.redis.Get(ctx, name).Val(); value != foreign {
				t.Fatalf("%s made %q of it", what, value)
			}
		}
	})
}
