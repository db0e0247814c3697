package handoff

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
)

// store is the other side of the local queues: Redis, or a model of it in the simulation. If a method returns an error,
// its request may have been served or not.
type store interface {
	// acquireIdle acquires a lock if the store knows nothing of it, without a token. It leaves nothing behind if it does not.
	acquireIdle(ctx context.Context, key, waiter string, b bounds) (owned bool, err error)
	// acquire requests a lock. If b.heartbeat is positive, the waiter enters the wait queue of a lock that is taken.
	acquire(ctx context.Context, key, waiter string, b bounds) (acquireResult, error)
	// acquireAll requests all locks or none. It returns nil if one of them is taken.
	acquireAll(ctx context.Context, keys, waiters []string, b bounds) ([]acquireResult, error)
	// release releases locks with the same bounds, and returns one result for each.
	release(ctx context.Context, requests []releaseRequest) ([]releaseResult, error)
	// fence returns the token of a lock that a waiter owns, or [lock.ErrLost]. It makes the token if there is none yet.
	fence(ctx context.Context, key, owner string) (int64, error)
	// renew prolongs leases, and returns one result for each.
	renew(ctx context.Context, requests []renewRequest) ([]renewResult, error)
	// name returns the name of a key in Redis.
	name(key string) string
	// node returns a number that is the same for locks that are on one server for certain.
	node(name string) int
}

// acquireResult is the reply to an acquire. Times are Redis' own, in µs.
type acquireResult struct {
	now, until int64
	token      int64 // 0 if the store has made none yet
	owned      bool
	waiting    int // how many others are in the wait queue
}

// releaseRequest releases a lock, or takes a waiter out of the wait queue.
type releaseRequest struct {
	key, owner string
	token      int64 // of the grant, 0 if it is not known
	lastToken  int64 // the last one that a holder was given
	// enqueue is a waiter ID to put into the wait queue in the same step, "" for none. requeued is its local queue.
	enqueue  string
	requeued *localQueue
	// refuseLate: an acquire of the owner was not answered in time and may still reach Redis, which then refuses it.
	refuseLate bool
	bounds     bounds
	// acquireInFlight: the grant arrived as a message before the reply to acquire. Redis may still run that acquire
	// after this release, so its reply handler releases again. One of the two releases finds nothing; that is not a
	// lost lock.
	acquireInFlight bool
}

// releaseResult is the reply to a release request, and to the acquire of the waiter that was enqueued.
type releaseResult struct {
	acquireResult
	lost bool
}

// renewRequest prolongs a lease.
type renewRequest struct {
	key, owner string
	lease      time.Duration
}

type renewResult struct {
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
	acquireSource string
	//go:embed scripts/acquire_all.lua
	acquireAllSource string
	//go:embed scripts/release.lua
	releaseSource string
	//go:embed scripts/fence.lua
	fenceSource string
	//go:embed scripts/renew.lua
	renewSource string

	acquireScript    = withShared(acquireSource)
	acquireAllScript = withShared(acquireAllSource)
	releaseScript    = withShared(releaseSource)
	fenceScript      = withShared(fenceSource)
	renewScript      = withShared(renewSource)
)

// withShared puts in what the scripts share.
func withShared(source string) *redis.Script {
	return redis.NewScript(strings.NewReplacer(
		"--[[clock.lua]]", clockSource, "--[[lock.lua]]", lockSource, "--[[semaphore.lua]]", semaphoreSource,
	).Replace(source))
}

// channelPrefix is the prefix of the channel on which an instance hears; its name follows. The scripts know it too.
const channelPrefix = "holdfast:lock:"

// redisStore is the lockStore that the scripts are.
type redisStore struct {
	redis   redis.UniversalClient
	cluster bool // locks of different slots cannot be touched by one script
}

func newRedisStore(r redis.UniversalClient) *redisStore {
	_, cluster := r.(*redis.ClusterClient)
	return &redisStore{redis: r, cluster: cluster}
}

// strings tells the scripts whether a lock may be a string: see scripts/lock.lua.
func (s *redisStore) strings() string {
	if s.cluster {
		return ""
	}
	return "1"
}

// lockPrefix begins the names of locks in Redis.
const lockPrefix = "holdfast:"

func (s *redisStore) name(key string) string { return nameOf(lockPrefix, key) }

func (s *redisStore) node(name string) int {
	if s.cluster {
		return int(slotOf(name))
	}
	return 0
}

// acquireIdle needs no script: what it writes is a lock as scripts/lock.lua describes it, with the token 0.
func (s *redisStore) acquireIdle(ctx context.Context, key, waiter string, b bounds) (owned bool, err error) {
	if s.cluster {
		return false, nil
	}
	return s.redis.SetNX(ctx, key, words(0, b.lease.Milliseconds())+" "+waiter, b.lease).Result()
}

func (s *redisStore) fence(ctx context.Context, key, owner string) (int64, error) {
	r := s.run(ctx, "fence", fenceScript, []string{key}, owner)
	word := r.next()
	if word == "-" {
		return 0, lock.ErrLost
	}
	token := r.parse(word)
	return token, r.err
}

func (s *redisStore) acquire(ctx context.Context, key, waiter string, b bounds) (acquireResult, error) {
	r := s.run(ctx, "acquire", acquireScript, []string{key}, waiter, b.lease.Milliseconds(), b.grant.Milliseconds(),
		b.heartbeat.Milliseconds(), s.strings())
	a := acquireResult{now: r.number()}
	switch {
	case r.done():
		a.grantedAtOnce(b)
	case r.next() == "owned":
		a.owned, a.token, a.until, a.waiting = true, r.number(), r.number(), int(r.number())
	}
	return a, r.err
}

// grantedAtOnce: nothing was known of the lock.
func (a *acquireResult) grantedAtOnce(b bounds) {
	a.owned, a.token, a.until = true, a.now, a.now+b.lease.Milliseconds()*1000
}

func (s *redisStore) acquireAll(ctx context.Context, keys, waiters []string, b bounds) ([]acquireResult, error) {
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
	r := s.run(ctx, "acquire_all", acquireAllScript, keys, args...)
	now, atOnce := r.number(), r.done()
	if !atOnce && r.next() != "owned" {
		return nil, r.err
	}
	all := make([]acquireResult, len(keys))
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

func (s *redisStore) release(ctx context.Context, requests []releaseRequest) ([]releaseResult, error) {
	answers := make([]releaseResult, 0, len(requests))
	for len(requests) > 0 {
		n := s.together(len(requests), func(i int) string { return requests[i].key })
		b := requests[0].bounds
		keys, args := make([]string, n), make([]any, 1, 1+4*n)
		args[0] = words(b.lease.Milliseconds(), b.grant.Milliseconds(), b.heartbeat.Milliseconds())
		for i, d := range requests[:n] {
			keys[i] = d.key
			args = append(args, words(d.token, b.lease.Milliseconds())+" "+d.owner, d.lastToken)
			switch {
			case d.refuseLate:
				args = append(args, d.enqueue, "1")
			case d.enqueue != "" || n > 1:
				args = append(args, d.enqueue, "")
			}
		}
		r := s.run(ctx, "release", releaseScript, keys, args...)
		if r.done() { // all released, and nothing else to tell
			requests, answers = requests[n:], answers[:len(answers)+n]
			continue
		}
		now := r.number()
		for range n {
			answer := releaseResult{lost: r.next() == "lost"}
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
		requests = requests[n:]
	}
	return answers, nil
}

func (s *redisStore) renew(ctx context.Context, requests []renewRequest) ([]renewResult, error) {
	return s.renewBy(ctx, "renew", renewScript, requests, func(r *replyReader, a *renewResult) { a.waiting = int(r.number()) })
}

// renewBy renews by a script. rest reads what the reply has for each request besides the end of its lease.
func (s *redisStore) renewBy(
	ctx context.Context, name string, script *redis.Script, requests []renewRequest, rest func(*replyReader, *renewResult),
) ([]renewResult, error) {
	answers := make([]renewResult, 0, len(requests))
	for len(requests) > 0 {
		n := s.together(len(requests), func(i int) string { return requests[i].key })
		keys, args := make([]string, n), make([]any, 0, 2*n)
		for i, l := range requests[:n] {
			keys[i] = l.key
			args = append(args, l.owner, l.lease.Milliseconds())
		}
		r := s.run(ctx, name, script, keys, args...)
		now := r.number()
		for range n {
			answer := renewResult{now: now}
			if until := r.next(); until == "-" {
				answer.lost = true
			} else {
				answer.until = r.parse(until)
			}
			rest(&r, &answer)
			answers = append(answers, answer)
		}
		if r.err != nil {
			return nil, r.err
		}
		requests = requests[n:]
	}
	return answers, nil
}

// run runs a script. Its reply is one string of words: Redis writes an array in several pieces, and each costs.
func (s *redisStore) run(ctx context.Context, name string, script *redis.Script, keys []string, args ...any) replyReader {
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
func (s *redisStore) together(n int, key func(i int) string) int {
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
