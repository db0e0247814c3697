package handoff

import (
	"time"

	"holdfast/lockprovider/lock"
)

// state is what a process has to do with one lock.
//
//	idle ──► acquiring ◄──► queued
//	              │            │
//	              └──► held ◄──┘
//	                   ▲  │
//	                   │  ▼
//	                  cached
//
// A held lock goes to acquiring if other callers of this process still wait after it was released or lost. Every state
// goes to idle if nobody here wants the lock any more.
type state int

const (
	// idle: this process neither holds the lock nor wants it. Its local queue is not in the client's table.
	idle state = iota
	// acquiring: a request for the lock is in flight, and the process does not hold the lock.
	acquiring
	// queued: the process waits for a message that grants the lock, and polls in case that the message is lost.
	queued
	// held: a caller of this process holds the lock.
	held
	// cached: Redis knows the process as the owner, but no caller holds the lock.
	cached
)

var stateNames = [...]string{"idle", "acquiring", "queued", "held", "cached"}

func (s state) String() string { return stateNames[s] }

// next lists the states that may follow each state. A state may follow itself: a held lock is handed off.
var next = map[state][]state{
	idle:      {acquiring},
	acquiring: {idle, queued, held},
	queued:    {idle, acquiring, held},
	held:      {idle, acquiring, held, cached},
	cached:    {idle, held},
}

// onTransition is called with each transition. Tests replace it to check them against next.
var onTransition = func(name string, from, to state) {}

// become is the only place that changes the state. The client's mutex is held, as for all methods in this file.
func (q *localQueue) become(to state) {
	onTransition(q.name, q.state, to)
	q.state = to
}

// owned reports whether Redis knows this process as the owner.
func (q *localQueue) owned() bool { return q.state == held || q.state == cached }

// ask requests the lock in the background. It does nothing unless the process is queued.
func (q *localQueue) ask() {
	if q.state != queued {
		return
	}
	q.become(acquiring)
	q.stopPolling()
	id := q.waiterID
	q.client.spawn(func() { q.request(id, false) })
}

// replied notes that the acquire of a waiter ID is no longer in flight.
func (q *localQueue) replied(id string) {
	if q.waiterID != id {
		return
	}
	q.replyPending = false
	if q.state == acquiring {
		q.become(queued)
	}
}

// granted begins to hold the lock. The lease lasts from one local time until another; waiting is how many others are in
// the wait queue in Redis.
func (q *localQueue) granted(token int64, from, until time.Time, waiting int) {
	now := time.Now()
	if !now.Before(withMargin(from, until)) {
		q.ask() // too late: Redis may have given the lock to somebody else
		return
	}
	q.stopPolling()
	q.replyPending = q.state == acquiring // a message was faster than the reply
	q.token, q.tokenHandoff, q.handoffs, q.grantedAt = token, 0, 0, now
	q.contended = q.contended || waiting > 0 // the message "wanted" may have been faster, too
	q.prolong(from, until)
	q.become(held)
	q.grantFirst()
}

// handOff gives a lock that this process owns to the first local waiter.
func (q *localQueue) handOff() {
	q.become(held)
	q.handoffs++
	q.grantFirst()
	q.client.metrics.Granted(lock.GrantLocal)
}

// grantFirst makes the first local waiter the holder.
func (q *localQueue) grantFirst() {
	w := q.waiters[0]
	q.waiters[0] = nil
	q.waiters = q.waiters[1:]
	q.holder = w
	w.owner, w.token, w.uncertain = q.waiterID, q.fence(), q.uncertain
	w.finish(nil)
}

// cache keeps a lock that no local caller holds or waits for.
func (q *localQueue) cache(now time.Time) {
	q.become(cached)
	q.holder, q.cachedUntil = nil, now.Add(q.bounds.tenure)
	q.client.wakeSoonAfter(q.cachedUntil)
}

// requeue waits for the lock under a new waiter ID, for which a request is in flight. The process does not own the lock
// any more.
func (q *localQueue) requeue() {
	q.become(acquiring)
	q.holder = nil
	q.waiterID = q.client.nextWaiterID()
	q.replyPending, q.uncertain, q.renewing, q.contended = false, false, false, false
}

// expire ends a lease that ran out, or that Redis no longer knows. The holder is told; local waiters ask anew.
func (q *localQueue) expire() {
	if w := q.holder; w != nil {
		w.uncertain = q.uncertain
		w.lose(lock.ErrLost)
	} else if q.uncertain {
		q.client.withdraw(q, q.waiterID, true)
	}
	if len(q.waiters) == 0 {
		q.remove()
		return
	}
	q.requeue()
	id := q.waiterID
	q.client.spawn(func() { q.request(id, false) })
}

// remove ends a queue that nobody here waits in. Redis may still have to be told.
func (q *localQueue) remove() {
	q.become(idle)
	q.holder = nil
	q.stopPolling()
	if q.client.queues[q.name] == q {
		delete(q.client.queues, q.name)
	}
}
