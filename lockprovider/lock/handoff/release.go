package handoff

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// giveUp is leave for turns that nobody has made use of, in a bounded time.
func (h *Client) giveUp(ctx context.Context, turns []*turn) {
	if len(turns) > 0 {
		_ = h.leave(ctx, turns, false) // what it cannot free expires
	}
}

// leave ends turns: each lock goes to the next in line here, or back to Redis, unless it may be kept. lock.ErrLost where one was not
// held any more.
func (h *Client) leave(ctx context.Context, turns []*turn, keep bool) error {
	var lost error
	var leaving []departure
	var again []*line // for each departure, the line that goes on waiting; nil for none
	h.mu.Lock()
	now := time.Now()
	for _, t := range slices.Backward(turns) {
		ln := t.line
		switch {
		case ln.holder != t || !now.Before(ln.until): // the line has lost it: free what Redis may still keep for us
			lost = fmt.Errorf("%w: %s", lock.ErrLost, ln.name)
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
	answers := h.release(context.WithoutCancel(ctx), lock.UnlockTimeout, leaving) // even if the caller has gone
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
			failed = lock.StoreError(ctx, "redis", a.err)
		case a.lost && !leaving[i].asked && lost == nil:
			lost = fmt.Errorf("%w: %s", lock.ErrLost, leaving[i].key)
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
func (h *Client) mayKeep(ln *line) bool {
	return len(ln.waiting) == 0 && !ln.contended && h.heard && !h.deaf && !h.closed && (ln.handed > 0 || h.gates.wanted(ln.name))
}

// freeKept frees the locks that are kept, of those that are meant.
func (h *Client) freeKept(meant func(*line) bool) {
	var free []*line
	for _, ln := range h.lines {
		if ln.kept && meant(ln) {
			free = append(free, ln)
		}
	}
	h.free(free...)
}

// free gives up, in the background, locks that are kept. h.mu is held.
func (h *Client) free(lines ...*line) {
	if len(lines) == 0 {
		return
	}
	leaving := make([]departure, len(lines))
	for i, ln := range lines {
		leaving[i] = ln.departure()
		ln.kept = false
		ln.remove()
	}
	h.spawn(func() { h.release(context.Background(), lock.UnlockTimeout, leaving) })
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
func (h *Client) release(ctx context.Context, limit time.Duration, leaving []departure) []handedBack {
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

// releaseTogether is release for locks that one request may touch.
func (h *Client) releaseTogether(ctx context.Context, until time.Time, leaving []departure) []handedBack {
	answers := make([]handedBack, len(leaving))
	for wait := releaseRetry; ; wait = min(2*wait, max(releaseRetry, leaving[0].bounds.poll)) {
		sent := time.Now()
		bounded, stop := context.WithDeadline(ctx, earlier(until, sent.Add(lock.RequestTimeout)))
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
		if err == nil || time.Until(until) < wait || lock.Pause(ctx, wait) != nil {
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
func (h *Client) forget(ln *line, waiter string, late bool) (forgotten <-chan struct{}) {
	done := make(chan struct{})
	d := departure{key: ln.name, owner: waiter, late: late, bounds: ln.bounds}
	ctx, limit := context.Background(), lock.UnlockTimeout
	if late && !h.closed { // Redis stands still: what it takes when it goes on would be nobody's for a lease
		ctx, limit = h.life, lock.UnlockTimeout+ln.bounds.lease
	}
	h.running.Go(func() { // even when closing: a request that was under way then may have taken the lock for nobody
		defer close(done)
		h.release(ctx, limit, []departure{d})
	})
	return done
}
