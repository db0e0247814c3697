package handoff

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockStore is what the lines of a process have outside of it: Redis, or a model of it in the simulation. A method that
// returns an error may have done its work or not.
type lockStore interface {
	// acquire asks for a lock, and stands in line for it where b.heartbeat is positive.
	acquire(ctx context.Context, key, waiter string, b lockBounds) (acquired, error)
	// acquireAll takes all locks or none.
	acquireAll(ctx context.Context, keys, waiters []string, b lockBounds) (all []acquired, err error)
	// release frees locks with the same bounds, and enqueues other waiters of the process; one answer each.
	release(ctx context.Context, leaving []departure) ([]released, error)
	// renew prolongs leases; one answer each.
	renew(ctx context.Context, leases []renewal) ([]renewed, error)
	// name is the key's name in messages.
	name(key string) string
	// node tells apart locks that may be on servers which fail apart.
	node(name string) int
}

// acquired is the answer to a request for a lock. Times are Redis' own, in µs.
type acquired struct {
	now, until, token int64
	owned             bool
	waiting           int // others in line
}

// departure is a lock to release.
type departure struct {
	key, owner string
	token      int64  // of the grant, 0 where it is not known
	used       int64  // the last token that was used
	again      string // the waiter to enqueue, or ""
	late       bool   // a request of the owner's was not answered in time, and may still come to Redis
	bounds     lockBounds
	// asked: a request of the owner's is still under way, since a message was faster. Its answer frees the lock once more, in
	// case that the request came to Redis after the release; so one of the two finds nothing to free.
	asked bool
}

// released is the answer to a departure, and to the request for the waiter that was enqueued.
type released struct {
	acquired
	lost bool
}

// renewal is a lease to prolong.
type renewal struct {
	key, owner string
	lease      time.Duration
}

type renewed struct {
	now, until int64
	lost       bool
	waiting    int
}

var (
	//go:embed scripts/clock.lua
	clockSource string
	//go:embed scripts/lock.lua
	lockSource string
	//go:embed scripts/acquire.lua
	lockAcquireSource string
	//go:embed scripts/acquire_all.lua
	lockAcquireAllSource string
	//go:embed scripts/release.lua
	lockReleaseSource string
	//go:embed scripts/renew.lua
	lockRenewSource string

	lockAcquireScript    = withLockSource(lockAcquireSource)
	lockAcquireAllScript = withLockSource(lockAcquireAllSource)
	lockReleaseScript    = withLockSource(lockReleaseSource)
	lockRenewScript      = withLockSource(lockRenewSource)
)

// withLockSource puts in what the scripts share.
func withLockSource(source string) *redis.Script {
	return redis.NewScript(strings.NewReplacer("--[[clock.lua]]", clockSource, "--[[lock.lua]]", lockSource).Replace(source))
}

// lockChannel is the prefix of the channel on which an instance hears; its name follows. The scripts know it too.
const lockChannel = "holdfast:lock:"

// redisLocks is the lockStore that the scripts are.
type redisLocks struct {
	redis   redis.UniversalClient
	cluster bool // locks of different slots cannot be touched by one script
}

func newRedisLocks(r redis.UniversalClient) *redisLocks {
	_, cluster := r.(*redis.ClusterClient)
	return &redisLocks{redis: r, cluster: cluster}
}

// strings tells the scripts whether a lock may be a string: see scripts/lock.lua.
func (s *redisLocks) strings() string {
	if s.cluster {
		return ""
	}
	return "1"
}

// name gives a lock a hash tag of its own, unless its key has one: locks with the same tag can be taken at once in a cluster.
func (s *redisLocks) name(key string) string {
	if strings.Contains(key, "{") {
		return "holdfast:" + key
	}
	return "holdfast:{" + key + "}"
}

func (s *redisLocks) node(name string) int {
	if s.cluster {
		return int(slotOf(name))
	}
	return 0
}

func (s *redisLocks) acquire(ctx context.Context, key, waiter string, b lockBounds) (acquired, error) {
	r := s.run(ctx, "acquire", lockAcquireScript, []string{key}, waiter, b.lease.Milliseconds(), b.grant.Milliseconds(),
		b.heartbeat.Milliseconds(), s.strings())
	a := acquired{now: r.number()}
	switch {
	case r.done():
		a.grantedAtOnce(b)
	case r.next() == "owned":
		a.owned, a.token, a.until, a.waiting = true, r.number(), r.number(), int(r.number())
	}
	return a, r.err
}

// grantedAtOnce: nothing was known of the lock.
func (a *acquired) grantedAtOnce(b lockBounds) {
	a.owned, a.token, a.until = true, a.now, a.now+b.lease.Milliseconds()*1000
}

func (s *redisLocks) acquireAll(ctx context.Context, keys, waiters []string, b lockBounds) ([]acquired, error) {
	if s.cluster {
		for _, key := range keys[1:] {
			if slotOf(key) != slotOf(keys[0]) {
				return nil, nil
			}
		}
	}
	args := make([]any, 0, 2+len(waiters))
	args = append(args, b.lease.Milliseconds(), s.strings())
	for _, w := range waiters {
		args = append(args, w)
	}
	r := s.run(ctx, "acquire_all", lockAcquireAllScript, keys, args...)
	now, atOnce := r.number(), r.done()
	if !atOnce && r.next() != "owned" {
		return nil, r.err
	}
	all := make([]acquired, len(keys))
	for i := range all {
		all[i].now = now
		if atOnce {
			all[i].grantedAtOnce(b)
		} else {
			all[i].owned, all[i].token, all[i].until = true, r.number(), r.number()
		}
	}
	return all, r.err
}

func (s *redisLocks) release(ctx context.Context, leaving []departure) ([]released, error) {
	answers := make([]released, 0, len(leaving))
	for len(leaving) > 0 {
		n := s.together(len(leaving), func(i int) string { return leaving[i].key })
		b := leaving[0].bounds
		keys, args := make([]string, n), make([]any, 1, 1+4*n)
		args[0] = words(b.lease.Milliseconds(), b.grant.Milliseconds(), b.heartbeat.Milliseconds())
		for i, d := range leaving[:n] {
			keys[i] = d.key
			late := ""
			if d.late {
				late = "1"
			}
			args = append(args, words(d.token, b.lease.Milliseconds())+" "+d.owner, d.used, d.again, late)
		}
		r := s.run(ctx, "release", lockReleaseScript, keys, args...)
		if r.done() { // all released, and nothing else to tell
			leaving, answers = leaving[n:], answers[:len(answers)+n]
			continue
		}
		now := r.number()
		for range n {
			answer := released{lost: r.next() == "lost"}
			answer.now = now
			if token := r.next(); token != "-" {
				answer.owned, answer.token = true, r.parse(token)
				answer.until, answer.waiting = r.number(), int(r.number())
			}
			answers = append(answers, answer)
		}
		if r.err != nil {
			return nil, r.err
		}
		leaving = leaving[n:]
	}
	return answers, nil
}

func (s *redisLocks) renew(ctx context.Context, leases []renewal) ([]renewed, error) {
	answers := make([]renewed, 0, len(leases))
	for len(leases) > 0 {
		n := s.together(len(leases), func(i int) string { return leases[i].key })
		keys, args := make([]string, n), make([]any, 0, 2*n)
		for i, l := range leases[:n] {
			keys[i] = l.key
			args = append(args, l.owner, l.lease.Milliseconds())
		}
		r := s.run(ctx, "renew", lockRenewScript, keys, args...)
		now := r.number()
		for range n {
			answer := renewed{now: now}
			if until := r.next(); until == "-" {
				answer.lost = true
			} else {
				answer.until = r.parse(until)
			}
			answer.waiting = int(r.number())
			answers = append(answers, answer)
		}
		if r.err != nil {
			return nil, r.err
		}
		leases = leases[n:]
	}
	return answers, nil
}

// run runs a script. Its reply is one string of words: Redis writes an array in several pieces, and each costs.
func (s *redisLocks) run(ctx context.Context, name string, script *redis.Script, keys []string, args ...any) replyReader {
	reply, err := script.Run(ctx, s.redis, keys, args...).Text()
	return replyReader{script: name, rest: reply, err: err}
}

// words are numbers as the scripts read them.
func words(numbers ...int64) string {
	text := make([]byte, 0, 20*len(numbers))
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return string(text)
}

// keysInScript bounds the keys of one script: Redis does nothing else meanwhile.
const keysInScript = 100

// together tells how many of the first n keys one script may touch: in a cluster, those of one slot.
func (s *redisLocks) together(n int, key func(i int) string) int {
	n = min(n, keysInScript)
	if s.cluster {
		for i := 1; i < n; i++ {
			if slotOf(key(i)) != slotOf(key(0)) {
				return i
			}
		}
	}
	return n
}

// slotOf is the slot of a key in a cluster: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
func slotOf(key string) uint16 {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16 // CRC-16/XMODEM
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}

// replyReader reads a script's reply, or a message, word by word; the first error sticks.
type replyReader struct {
	script string
	rest   string
	err    error
}

// done tells whether there are no more words, and no error.
func (r *replyReader) done() bool { return r.rest == "" && r.err == nil }

func (r *replyReader) next() string {
	if r.rest == "" && r.err == nil {
		r.err = fmt.Errorf("script %s: its reply is too short", r.script)
	}
	word, rest, _ := strings.Cut(r.rest, " ")
	r.rest = rest
	return word
}

func (r *replyReader) number() int64 { return r.parse(r.next()) }

func (r *replyReader) parse(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("script %s: %w", r.script, err)
	}
	return n
}
