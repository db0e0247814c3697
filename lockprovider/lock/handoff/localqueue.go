package handoff

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/lockprovider/lock"
)

// line is one lock in one process: those here who wait for it, in order, and who holds it. To Redis they are one waiter at a
// time, with the name id; each grant of Redis begins with a new one. All fields are guarded by the hub's mutex.
//
//	asking ──► waiting in Redis ──► held ──► passed on here, or kept a while ──► … ──► released, or released and asking again
//
// A line that nobody waits in and nobody holds is gone.
type line struct {
	hub    *Client
	name   string
	bounds lockBounds

	id       string
	asked    string // the id of the request that is under way, or ""
	answers  bool   // Redis has answered before: it knows us
	failures int    // requests in a row that failed
	late     bool   // a request of id's was not answered in time, and may still come to Redis
	waiting  []*turn
	poll     *time.Timer
	gone     bool

	holder    *turn // nil while waiting
	kept      bool  // nobody holds the lock, and Redis does not know: somebody here may want it soon
	keptUntil time.Time
	until     time.Time
	token     int64 // of the grant
	handed    int64 // how often it has been passed on here since
	began     time.Time
	contended bool // another process waits
	renewAt   time.Time
	renewing  bool
}

// claim is what a caller wants of each of its locks.
type claim struct {
	bounds lockBounds
	until  time.Time // when the wait is over
	lose   context.CancelCauseFunc
}

// turn is one caller's place in a line, and then its hold on the lock.
type turn struct {
	*claim
	line  *line
	ready chan struct{} // closed when the lock is held, or err is set
	err   error
	// forgotten, where it is not nil, is closed when Redis has forgotten a line in which nobody waits any more.
	forgotten <-chan struct{}
	owner     string // the name under which Redis knows the holder
	late      bool   // as the line's
	token     int64
}

// errTaken means that a lock is not free, to those who do not wait.
var errTaken = errors.New("lock is taken")

func (h *Client) newLine(name string, b lockBounds) *line {
	ln := &line{hub: h, name: name, bounds: b, id: h.nextID()}
	h.lines[name] = ln
	return ln
}

// append is a place at the end of the line.
func (ln *line) append(c *claim) *turn {
	t := &turn{claim: c, line: ln, ready: make(chan struct{})}
	ln.waiting = append(ln.waiting, t)
	ln.hub.wakeAfter(c.until)
	return t
}

func (t *turn) settle(err error) {
	t.err = err
	close(t.ready)
}

// await returns when the turn has come, its time is over, or the context ends; then a turn that has come nevertheless is passed
// on.
func (t *turn) await(ctx context.Context) error {
	select {
	case <-t.ready:
	case <-ctx.Done():
		h := t.line.hub
		h.mu.Lock()
		still := t.line.dismiss(t, ctx.Err())
		h.mu.Unlock()
		if !still {
			if t.err == nil {
				h.giveUp(ctx, []*turn{t})
			}
			return ctx.Err()
		}
	}
	if t.forgotten != nil {
		timer := time.NewTimer(tidyUp)
		defer timer.Stop()
		select {
		case <-t.forgotten:
		case <-timer.C:
		}
	}
	return t.err
}

// dismiss ends a turn that has not come. It returns false where it has.
func (ln *line) dismiss(t *turn, err error) bool {
	i := slices.Index(ln.waiting, t)
	if i < 0 {
		return false
	}
	ln.waiting = slices.Delete(ln.waiting, i, i+1)
	t.forgotten = ln.abandonIfEmpty()
	t.settle(err)
	return true
}

// expire dismisses those whose time is over. The others have theirs.
func (ln *line) expire(now time.Time) {
	var over []*turn
	for _, t := range ln.waiting {
		if now.Before(t.until) {
			ln.hub.wakeAfter(t.until)
		} else {
			over = append(over, t)
		}
	}
	for _, t := range over {
		ln.dismiss(t, lock.ErrTimeout)
	}
}

// tidyUp is how long a caller who gives up waits for Redis to forget it: with a Redis that is there, until it has.
const tidyUp = 25 * time.Millisecond

// abandonIfEmpty gives up a line that nobody waits in any more. It returns nil where Redis has nothing to forget.
func (ln *line) abandonIfEmpty() (forgotten <-chan struct{}) {
	if len(ln.waiting) > 0 || ln.held() || ln.gone {
		return nil
	}
	ln.remove()
	if ln.asked == ln.id {
		return nil // the answer finds that the line is gone
	}
	return ln.hub.forget(ln, ln.id, ln.late)
}

func (ln *line) remove() {
	ln.gone = true
	ln.stopPolling()
	if ln.hub.lines[ln.name] == ln {
		delete(ln.hub.lines, ln.name)
	}
}

// ask asks Redis for the lock, in the background.
func (ln *line) ask() {
	if ln.asked == ln.id {
		return
	}
	ln.asked = ln.id
	ln.stopPolling()
	id := ln.id
	ln.hub.spawn(func() { ln.request(id) })
}

// request asks Redis for the lock, and takes its answer. h.mu is not held.
func (ln *line) request(id string) {
	h := ln.hub
	var a acquired
	var err error
	var sent time.Time
	repeated := false
	for ; ; repeated = true { // the first may have met a connection that broke while it was idle
		sent = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), lock.RequestTimeout)
		a, err = h.store.acquire(ctx, ln.name, id, ln.bounds)
		late := ctx.Err() != nil
		cancel()
		if err == nil || late || repeated {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ln.heard(id)
	ln.answered(id, sent, a, err, err != nil || repeated)
}

// heard notes that the request of id is not under way any more.
func (ln *line) heard(id string) {
	if ln.asked == id {
		ln.asked = ""
	}
}

// patience is how many requests in a row may fail for those who wait to go on waiting. The first request of all is none of
// them: it tells callers quickly that Redis is away.
const patience = 2

// answered takes Redis' answer to the request of a waiter. Where it was late, a request of the waiter's may still come to Redis.
func (ln *line) answered(id string, sent time.Time, a acquired, err error, late bool) {
	h := ln.hub
	if err == nil {
		h.clock.saw(sent, a.now)
		ln.answers, ln.failures = true, 0
	}
	if ln.id == id {
		ln.late = ln.late || late
		late = ln.late
	}
	switch {
	case ln.gone || ln.id != id: // a message came first, and the request may have come to Redis after the release
		h.forget(ln, id, late)
	case ln.held():
	case err != nil:
		ln.failures++
		if !ln.answers || ln.failures >= patience {
			ln.fail(err)
			return
		}
		ln.pollLater()
	case a.owned:
		h.metrics.Granted(lock.GrantReply)
		ln.granted(a.token, sent, sent.Add(between(a.now, a.until)), a.waiting)
	default:
		ln.pollLater()
	}
}

// stepAside takes one who does not stand in line out of it: the lock is not free. Those who came after it ask.
func (ln *line) stepAside(t *turn) {
	if i := slices.Index(ln.waiting, t); i >= 0 {
		ln.waiting = slices.Delete(ln.waiting, i, i+1)
		t.settle(errTaken)
	}
	switch {
	case ln.gone:
	case len(ln.waiting) > 0:
		ln.ask()
	default:
		ln.remove()
	}
}

// probe asks whether Redis is there, for those who wait for a holder here and would not notice.
func (ln *line) probe() {
	if ln.holder != nil && len(ln.waiting) > 0 && !ln.renewing {
		ln.renewing = true
		lease := ln.lease()
		ln.hub.spawn(func() { ln.hub.renew([]*line{ln}, []renewal{lease}) })
	}
}

func (ln *line) lease() renewal {
	return renewal{key: ln.name, owner: ln.id, lease: ln.bounds.lease}
}

// fence is the token of the holder, or of the last one.
func (ln *line) fence() int64 { return ln.token + ln.handed }

// departure gives back what the line holds.
func (ln *line) departure() departure {
	return departure{key: ln.name, owner: ln.id, token: ln.token, used: ln.fence(), late: ln.late, bounds: ln.bounds}
}

// fail gives up a line that waits: Redis does not answer.
func (ln *line) fail(err error) {
	ln.remove()
	ln.turnAway(err)
	ln.hub.forget(ln, ln.id, ln.late)
}

// turnAway tells all who wait that Redis does not answer.
func (ln *line) turnAway(err error) {
	for _, t := range ln.waiting {
		t.settle(lock.StoreError(context.Background(), "redis", err))
	}
	ln.waiting = nil
}

// granted begins to hold the lock, from some time until another by the local clock.
func (ln *line) granted(token int64, from, until time.Time, waiting int) {
	if !time.Now().Before(early(from, until)) {
		ln.ask() // too late: it may have been given to somebody else
		return
	}
	ln.stopPolling()
	ln.token, ln.handed, ln.began = token, 0, time.Now()
	ln.contended = ln.contended || waiting > 0 // a message may have been faster than the answer
	ln.prolong(from, until)
	ln.next()
}

// early is when a lease from some time until another ends here: by a margin earlier, in spite of clocks that run at slightly
// different speeds.
func early(from, until time.Time) time.Time { return until.Add(-until.Sub(from) / lock.ExpiryMargin) }

// prolong notes that the lease lasts from some time until another.
func (ln *line) prolong(from, until time.Time) {
	ln.until = early(from, until)
	ln.renewAt = from.Add(until.Sub(from) / 3)
	ln.hub.wakeAt(ln.renewAt)
}

// next gives the lock to the first who waits here.
func (ln *line) next() {
	t := ln.waiting[0]
	ln.waiting[0] = nil
	ln.waiting = ln.waiting[1:]
	ln.holder = t
	t.owner, t.token, t.late = ln.id, ln.fence(), ln.late
	t.settle(nil)
}

// held tells whether Redis knows this process as the owner.
func (ln *line) held() bool { return ln.holder != nil || ln.kept }

// passOn gives the lock to the first who waits here, after another holder.
func (ln *line) passOn() {
	ln.kept = false
	ln.handed++
	ln.next()
	ln.hub.metrics.Granted(lock.GrantLocal)
}

// keep ends the turn of a holder without an heir who is there already.
func (ln *line) keep(now time.Time) {
	ln.holder, ln.kept, ln.keptUntil = nil, true, now.Add(ln.bounds.turn)
	ln.hub.wakeAfter(ln.keptUntil)
}

// mayPassOn tells whether the next holder may be one of this process: as long as nobody waits elsewhere; else a turn of the
// process is so many holders, or so much time. Each has a token of its own: one that the grant reserved, or one that Redis'
// clock has passed, since the next grant begins with what that shows.
func (ln *line) mayPassOn(now time.Time) bool {
	switch next := ln.handed + 1; {
	case !now.Before(ln.until):
		return false
	case ln.contended && (next >= int64(ln.bounds.passes) || now.Sub(ln.began) >= ln.bounds.turn):
		return false
	case next >= tokensReserved:
		return ln.token+next < ln.hub.clock.passed(now)
	}
	return true
}

// tokensReserved is how many tokens a grant reserves; the scripts know it too.
const tokensReserved = 64

// renameAndWait goes on waiting under another name, which a request under way enqueues.
func (ln *line) renameAndWait() {
	ln.holder = nil
	ln.id = ln.hub.nextID()
	ln.asked, ln.late, ln.renewing, ln.contended = ln.id, false, false, false
}

// lapse is the end of a lease that was not released: the holder is told, those who wait ask anew.
func (ln *line) lapse() {
	if t := ln.holder; t != nil {
		t.late = ln.late
		t.lose(lock.ErrLost)
	} else if ln.late {
		ln.hub.forget(ln, ln.id, true)
	}
	ln.holder, ln.kept = nil, false
	if len(ln.waiting) == 0 {
		ln.remove()
		return
	}
	ln.renameAndWait()
	ln.asked = ""
	ln.ask()
}

func (ln *line) pollLater() {
	if ln.hub.closed {
		return
	}
	ln.poll = time.AfterFunc(ln.bounds.poll, func() {
		ln.hub.mu.Lock()
		defer ln.hub.mu.Unlock()
		if !ln.gone && !ln.held() {
			ln.ask()
		}
	})
}

func (ln *line) stopPolling() {
	if ln.poll != nil {
		ln.poll.Stop()
		ln.poll = nil
	}
}
