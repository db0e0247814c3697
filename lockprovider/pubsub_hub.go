package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockHub is what the Pub/Sub locks of a process share: the name under which it is told of grants, a line for each key that is
// in use here, and the renewal of what the process holds.
type lockHub struct {
	store    lockStore
	opened   time.Time
	instance string // unique among those that share Redis
	metrics  *lockMetrics
	closeEar func() error
	gates    gates

	mu     sync.Mutex
	lines  map[string]*line // by the lock's name in Redis
	serial uint64           // of the last waiter ID
	clock  redisClock
	// alarm rings when the next lease has to be renewed, or ends, or the next one who waits has waited long enough.
	alarm   *time.Timer
	alarmAt time.Time

	heard       bool          // a subscription has succeeded: each later one is a Redis that is back
	hearing     chan struct{} // closed then
	deaf        bool          // the subscription is broken
	reconnected func()

	closed  bool
	running sync.WaitGroup  // what goes on in the background
	life    context.Context //nolint:containedctx // It ends what would go on in the background for long.
	end     context.CancelFunc
}

// openLockHub subscribes to what Redis has to tell this process.
func openLockHub(r redis.UniversalClient, instance string, m *lockMetrics) *lockHub {
	h := newLockHub(newRedisLocks(r), instance+"."+newToken()[:8], m)
	h.closeEar = listenEverywhere(r, lockChannel+h.instance, h.hear, h.gap)
	// A waiter that does not hear yet would be taken for dead.
	timer := time.NewTimer(subscribeTimeout)
	defer timer.Stop()
	select {
	case <-h.hearing:
	case <-timer.C: // Redis is away: those who ask will say so
	}
	return h
}

// subscribeTimeout is how long the first subscription may take before locks are asked for without it.
const subscribeTimeout = scriptTimeout

func newLockHub(s lockStore, instance string, m *lockMetrics) *lockHub {
	h := &lockHub{
		opened: time.Now(), store: s, instance: instance, metrics: m, closeEar: func() error { return nil }, lines: map[string]*line{},
		hearing: make(chan struct{}), gates: gates{at: map[string][]*passage{}},
	}
	h.life, h.end = context.WithCancel(context.Background())
	return h
}

// close ends the subscription. What is still held can be unlocked; it is not renewed any more.
func (h *lockHub) close() error {
	h.mu.Lock()
	for _, ln := range h.lines {
		ln.stopPolling()
	}
	h.freeKept(func(*line) bool { return true })
	h.closed = true
	h.mu.Unlock()
	h.end()
	err := h.closeEar()
	h.running.Wait()
	return err
}

// spawn runs f in the background, unless the hub has been closed. h.mu is held.
func (h *lockHub) spawn(f func()) {
	if !h.closed {
		h.running.Go(f)
	}
}

// nextID names a waiter: the instance, by which it is told, and a number, greater than those before.
func (h *lockHub) nextID() string {
	h.serial++
	return h.instance + "|" + strconv.FormatUint(h.serial, 10)
}

// names are the names of keys in Redis, in the same order.
func (h *lockHub) names(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = h.store.name(key)
	}
	return names
}

// line is the line of a lock; nil where this process has nothing to do with it. One that is kept and cannot be passed on is freed.
func (h *lockHub) line(name string) *line {
	ln := h.lines[name]
	if ln != nil && ln.kept && !ln.mayPassOn(time.Now()) {
		h.free(ln)
		return nil
	}
	return ln
}

// join stands in line for a lock and returns when it is its turn. The first in line asks Redis, for all of them.
func (h *lockHub) join(ctx context.Context, name string, c *claim) (*turn, error) {
	h.mu.Lock()
	ln := h.line(name)
	first := ln == nil
	if first {
		ln = h.newLine(name, c.bounds)
		ln.asked = ln.id
	}
	t, id := ln.append(c), ln.id
	switch {
	case ln.kept:
		ln.passOn()
	case h.deaf:
		ln.probe()
	}
	h.mu.Unlock()
	if first {
		h.inTime(ctx, c.until, func() { ln.request(id) })
	}
	err := t.await(ctx)
	return t, err
}

// joinEach stands in line for one lock after the other, in their order, which is the same for everyone.
func (h *lockHub) joinEach(ctx context.Context, names []string, c *claim) ([]*turn, error) {
	turns := make([]*turn, 0, len(names))
	for _, name := range names {
		t, err := h.join(ctx, name, c)
		if err != nil {
			h.giveUp(ctx, turns)
			return nil, err
		}
		turns = append(turns, t)
	}
	return turns, nil
}

// takeAll takes locks if nobody in this process uses any of them, and Redis says that those that are not kept here are free. It
// returns nil where they are not.
func (h *lockHub) takeAll(ctx context.Context, names []string, c *claim) ([]*turn, error) {
	h.mu.Lock()
	for _, name := range names {
		if ln := h.line(name); h.closed || ln != nil && !ln.kept {
			h.mu.Unlock()
			return nil, nil
		}
	}
	turns := make([]*turn, len(names))
	var missing []*turn
	for i, name := range names {
		ln := h.lines[name]
		if ln == nil {
			ln = h.newLine(name, c.bounds)
			ln.asked = ln.id
		}
		turns[i] = ln.append(c)
		if ln.kept {
			ln.passOn()
		} else {
			missing = append(missing, turns[i])
		}
	}
	h.mu.Unlock()
	if len(missing) > 0 {
		h.inTime(ctx, c.until, func() { h.requestAll(missing, c.bounds) })
	}
	var failure error
	held := make([]*turn, 0, len(turns))
	for _, t := range turns {
		err := t.await(ctx)
		switch {
		case err == nil:
			held = append(held, t)
		case failure == nil:
			failure = err
		}
	}
	if failure == nil {
		return turns, nil
	}
	h.giveUp(ctx, held)
	if errors.Is(failure, errTaken) {
		return nil, nil
	}
	return nil, failure
}

// requestAll asks Redis for the locks of turns, and takes its answer.
func (h *lockHub) requestAll(turns []*turn, b lockBounds) {
	names, waiters := make([]string, len(turns)), make([]string, len(turns))
	h.mu.Lock()
	for i, t := range turns {
		names[i], waiters[i] = t.line.name, t.line.id
	}
	h.mu.Unlock()
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	all, err := h.store.acquireAll(ctx, names, waiters, b)
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range turns {
		t.line.heard(waiters[i])
		switch {
		case err != nil:
			t.line.answered(waiters[i], sent, acquired{}, err, true)
		case all == nil:
			t.line.stepAside(t)
		default:
			t.line.answered(waiters[i], sent, all[i], nil, false)
		}
	}
}

// inTime runs a request of a caller's: by the caller itself, since a hop to another goroutine costs as much again; or in the
// background where the caller may not have the time that Redis may take. A request is never cancelled half-way: what came to
// Redis after the release that follows would keep the lock for a lease.
func (h *lockHub) inTime(ctx context.Context, until time.Time, request func()) {
	if deadline, ok := ctx.Deadline(); ok {
		until = earlier(until, deadline)
	}
	if time.Until(until) >= scriptTimeout {
		request()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spawn(request)
}

// giveUp is leave for turns that nobody has made use of, in a bounded time.
func (h *lockHub) giveUp(ctx context.Context, turns []*turn) {
	if len(turns) > 0 {
		_ = h.leave(ctx, turns, false) // what it cannot free expires
	}
}

// leave ends turns: each lock goes to the next in line here, or back to Redis, unless it may be kept. ErrLockLost where one was not
// held any more.
func (h *lockHub) leave(ctx context.Context, turns []*turn, keep bool) error {
	var lost error
	var leaving []departure
	var again []*line // for each departure, the line that goes on waiting; nil for none
	h.mu.Lock()
	now := time.Now()
	for _, t := range slices.Backward(turns) {
		ln := t.line
		switch {
		case ln.holder != t || !now.Before(ln.until): // the line has lost it: free what Redis may still keep for us
			lost = fmt.Errorf("%w: %s", ErrLockLost, ln.name)
			if ln.holder == t {
				ln.lapse()
			}
			leaving, again = append(leaving, departure{key: ln.name, owner: t.owner, used: t.token, late: t.late, bounds: ln.bounds}), append(again, nil)
		case len(ln.waiting) > 0 && ln.mayPassOn(now):
			ln.passOn()
		case keep && h.mayKeep(ln):
			ln.keep(now)
		default:
			d := ln.departure()
			d.asked = ln.asked == ln.id
			ln.holder = nil
			if len(ln.waiting) > 0 {
				ln.renameAndWait()
				d.again = ln.id
				again = append(again, ln)
			} else {
				ln.remove()
				again = append(again, nil)
			}
			leaving = append(leaving, d)
		}
	}
	h.mu.Unlock()
	if len(leaving) == 0 {
		return lost
	}
	answers := h.release(context.WithoutCancel(ctx), unlockTimeout, leaving) // even if the caller has gone
	var failed error
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, a := range answers {
		if ln, id := again[i], leaving[i].again; ln != nil {
			ln.heard(id)
			switch {
			case ln.id == id || ln.gone:
				ln.answered(id, a.sent, a.acquired, a.err, a.repeated)
			case a.repeated: // a message was faster, that turn is over, and the repeated request has put it in line again
				h.forget(ln, id, true)
			}
		}
		switch {
		case a.err != nil:
			failed = redisFailure(ctx, a.err)
		case a.lost && !leaving[i].asked && lost == nil:
			lost = fmt.Errorf("%w: %s", ErrLockLost, leaving[i].key)
		}
	}
	if lost == nil {
		lost = failed
	}
	return lost
}

// mayKeep tells whether a lock that nobody here waits for is kept for a while instead of being freed: for those behind the gates,
// of whom one will take it next, or since it has been passed on here, and may be wanted here again. It is not while somebody
// waits for it elsewhere, or if that would not be heard.
func (h *lockHub) mayKeep(ln *line) bool {
	return len(ln.waiting) == 0 && !ln.contended && h.heard && !h.deaf && !h.closed && (ln.handed > 0 || h.gates.wanted(ln.name))
}

// freeKept frees the locks that are kept, of those that are meant.
func (h *lockHub) freeKept(meant func(*line) bool) {
	var free []*line
	for _, ln := range h.lines {
		if ln.kept && meant(ln) {
			free = append(free, ln)
		}
	}
	h.free(free...)
}

// free gives up, in the background, locks that are kept. h.mu is held.
func (h *lockHub) free(lines ...*line) {
	if len(lines) == 0 {
		return
	}
	leaving := make([]departure, len(lines))
	for i, ln := range lines {
		leaving[i] = ln.departure()
		ln.kept = false
		ln.remove()
	}
	h.spawn(func() { h.release(context.Background(), unlockTimeout, leaving) })
}

// handedBack is the answer to a departure.
type handedBack struct {
	released
	sent     time.Time
	err      error
	repeated bool // it was sent more than once, or failed: an earlier request of the same may still come to Redis
}

// release frees locks in Redis, and asks again where an answer was lost, for a time or until the context ends; what it cannot
// free expires. Servers that do not answer keep it from none of the others.
func (h *lockHub) release(ctx context.Context, limit time.Duration, leaving []departure) []handedBack {
	type together struct {
		node   int
		bounds lockBounds
	}
	until := time.Now().Add(limit)
	groups := groupsOf(leaving, func(d departure) together { return together{h.store.node(d.key), d.bounds} })
	if len(groups) == 1 {
		return h.releaseTogether(ctx, until, leaving)
	}
	answers := make([]handedBack, len(leaving))
	var running sync.WaitGroup
	for _, group := range groups {
		running.Go(func() {
			for n, a := range h.releaseTogether(ctx, until, pick(leaving, group)) {
				answers[group[n]] = a
			}
		})
	}
	running.Wait()
	return answers
}

func (h *lockHub) releaseTogether(ctx context.Context, until time.Time, leaving []departure) []handedBack {
	answers := make([]handedBack, len(leaving))
	for wait := releaseRetry; ; wait = min(2*wait, max(releaseRetry, leaving[0].bounds.poll)) {
		sent := time.Now()
		bounded, stop := context.WithDeadline(ctx, earlier(until, sent.Add(scriptTimeout)))
		got, err := h.store.release(bounded, leaving)
		stop()
		for i := range answers {
			a := &answers[i]
			a.sent, a.err = sent, err
			if err != nil {
				a.repeated = true
				continue
			}
			a.released = got[i]
			a.lost = a.lost && !a.repeated // the one whose answer was lost may have freed it
		}
		if err == nil || time.Until(until) < wait || pause(ctx, wait) != nil {
			return answers
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// groupsOf are the indices of all elements, those with the same key together.
func groupsOf[T any, K comparable](all []T, key func(T) K) [][]int {
	if len(all) == 1 {
		return [][]int{{0}}
	}
	var groups [][]int
	index := map[K]int{}
	for i, x := range all {
		g, ok := index[key(x)]
		if !ok {
			g = len(groups)
			index[key(x)] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func pick[T any](all []T, indices []int) []T {
	picked := make([]T, len(indices))
	for n, i := range indices {
		picked[n] = all[i]
	}
	return picked
}

// releaseRetry is the pause before a release is sent again, at first; a broken connection is replaced at once.
const releaseRetry = 10 * time.Millisecond

// forget gives up, in the background, a waiter that may be in line in Redis or own the lock by now.
func (h *lockHub) forget(ln *line, waiter string, late bool) (forgotten <-chan struct{}) {
	done := make(chan struct{})
	d := departure{key: ln.name, owner: waiter, late: late, bounds: ln.bounds}
	if h.closed {
		close(done)
		return done
	}
	ctx, limit := context.Background(), unlockTimeout
	if late { // Redis stands still: what it takes when it goes on would be nobody's for a lease
		ctx, limit = h.life, unlockTimeout+ln.bounds.lease
	}
	h.spawn(func() {
		defer close(done)
		h.release(ctx, limit, []departure{d})
	})
	return done
}

// hear takes a message of the scripts.
func (h *lockHub) hear(_, message string) {
	kind, rest, _ := strings.Cut(message, " ")
	h.mu.Lock()
	defer h.mu.Unlock()
	switch kind {
	case "wanted":
		if ln := h.lines[rest]; ln != nil {
			ln.contended = true
			if ln.kept {
				h.free(ln)
			}
		}
	case "granted":
		r := replyReader{script: "granted", rest: rest}
		waiter, token, until, waiting := r.next(), r.number(), r.number(), r.number()
		ln := h.lines[r.rest]
		if r.err != nil || ln == nil || ln.id != waiter || ln.held() {
			return // given up, and the release is on its way; or known already
		}
		if deadline, ok := h.clock.local(until); ok {
			h.metrics.handOff(handOffMessage)
			ln.granted(token, time.Now(), deadline, int(waiting))
		} else {
			ln.ask()
		}
	}
}

// gap is a time in which messages may have gone unheard: every line asks. Its end is a subscription that is not the first.
func (h *lockHub) gap(subscribed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = !subscribed
	if h.deaf { // nobody would hear who wants them
		h.freeKept(func(*line) bool { return true })
	}
	for _, ln := range h.lines {
		if !ln.held() {
			ln.ask()
		} else {
			ln.probe()
		}
	}
	if subscribed && h.heard && h.reconnected != nil && !h.closed {
		h.reconnected()
	}
	if subscribed && !h.heard {
		h.heard = true
		close(h.hearing)
	}
}

// wakeAfter makes the alarm ring soon after a time that need not be met exactly: for many of them at once.
func (h *lockHub) wakeAfter(at time.Time) {
	h.wakeAt(h.opened.Add(at.Sub(h.opened).Truncate(alarmStep) + alarmStep))
}

// alarmStep is by how much a wait may be longer than it was meant to be.
const alarmStep = 5 * time.Millisecond

// wakeAt makes the alarm ring no later than that. h.mu is held.
func (h *lockHub) wakeAt(at time.Time) {
	if !h.alarmAt.IsZero() && !at.Before(h.alarmAt) {
		return
	}
	h.alarmAt = at
	if h.alarm == nil {
		h.alarm = time.AfterFunc(time.Until(at), h.ring)
	} else {
		h.alarm.Reset(time.Until(at))
	}
}

// ring renews the leases that are due, all at once, and ends those that could not be renewed in time, and waits that are over.
func (h *lockHub) ring() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alarmAt = time.Time{}
	now := time.Now()
	var due []*line
	var leases []renewal
	h.freeKept(func(ln *line) bool { return !now.Before(ln.keptUntil) })
	for _, ln := range h.lines {
		ln.expire(now)
		if !ln.held() {
			continue
		}
		if !now.Before(ln.until) {
			ln.lapse()
			continue
		}
		if !ln.renewing && !now.Before(ln.renewAt.Add(-ln.bounds.lease/renewTogether)) {
			ln.renewing = true
			due, leases = append(due, ln), append(leases, ln.lease())
		}
		h.wakeAt(ln.until)
		if ln.kept {
			h.wakeAfter(ln.keptUntil)
		}
		if !ln.renewing {
			h.wakeAt(ln.renewAt)
		}
	}
	for _, group := range groupsOf(due, func(ln *line) int { return h.store.node(ln.name) }) {
		h.spawn(func() { h.renew(pick(due, group), pick(leases, group)) })
	}
}

// renewTogether is the share of a lease by which one is renewed early, together with another.
const renewTogether = 10

func (h *lockHub) renew(due []*line, leases []renewal) {
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	answers, err := h.store.renew(ctx, leases)
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, ln := range due {
		ln.renewing = false
		if !ln.held() || ln.id != leases[i].owner {
			continue // it has been released meanwhile
		}
		switch {
		case err != nil: // unreachable: try again soon; the lease ends when it ends
			h.metrics.renewed(PubSub, err)
			ln.failures++
			if h.deaf || ln.failures >= patience {
				ln.turnAway(err)
			}
			ln.renewAt = time.Now().Add(ln.bounds.lease / 10)
			h.wakeAt(ln.renewAt)
		case answers[i].lost:
			h.metrics.renewed(PubSub, ErrLockLost)
			ln.lapse()
		default:
			h.metrics.renewed(PubSub, nil)
			h.clock.saw(sent, answers[i].now)
			ln.failures = 0
			ln.contended = ln.contended || answers[i].waiting > 0
			ln.prolong(sent, sent.Add(between(answers[i].now, answers[i].until)))
		}
	}
}

// between is the time from one time of Redis' to another.
func between(from, to int64) time.Duration { return time.Duration(to-from) * time.Microsecond }

// redisClock tells when, by the local clock, Redis' shows some time: not before that.
type redisClock struct {
	sent, received time.Time
	now            int64 // Redis' time between the two, in µs
}

// freshness is for how long an exchange with Redis tells its time: drift is far below the margins by which leases end early.
const freshness = 5 * time.Second

func (c *redisClock) saw(sent time.Time, now int64) {
	if sent.After(c.sent) {
		c.sent, c.received, c.now = sent, time.Now(), now
	}
}

func (c *redisClock) local(redisTime int64) (notBefore time.Time, ok bool) {
	return c.sent.Add(between(c.now, redisTime)), !c.sent.IsZero() && time.Since(c.sent) < freshness
}

// passed is what Redis' clock shows by now, at least.
func (c *redisClock) passed(now time.Time) int64 {
	elapsed := now.Sub(c.received)
	return c.now + (elapsed - elapsed/expiryMargin).Microseconds()
}
