package handoff

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// modelSemaphore is one semaphore that does what the scripts do, in plain terms. Times are in µs.
type modelSemaphore struct {
	flaw   flaw
	limit  int64
	token  int64
	owners []modelUnits // in the order of their grants
	queue  []modelUnits
	// late are the waiters whose acquires are refused, and until when.
	late map[string]int64
	// tell tells a waiter of a grant. It returns false if the waiter's process is dead.
	tell func(waiter, message string) bool
}

// modelUnits is an owner or a waiter. until is the end of its lease, or its deadline in the queue.
type modelUnits struct {
	holdRequest
	until, token int64
}

// flaw is a mistake that a semaphore could have, and that the checks must see.
type flaw string

const (
	overbooks    flaw = "one unit too many is granted"
	barges       flaw = "a newcomer whose units are free does not queue"
	skipsLarge   flaw = "a waiter that does not fit is overtaken by one that does"
	forgets      flaw = "a release hands nothing off"
	leaks        flaw = "units of a waiter that gave up late stay granted"
	endsEarly    flaw = "leases end earlier than their owners were told"
	repeatsToken flaw = "a grant has the token of the last one"
	neverAsks    flaw = "waiters do not ask again" // a flaw of the client
)

func micros(d time.Duration) int64 { return d.Milliseconds() * 1000 }

func (s *modelSemaphore) used() (units int64) {
	for _, o := range s.owners {
		units += o.units
	}
	return units
}

func find(all []modelUnits, waiter string) int {
	return slices.IndexFunc(all, func(u modelUnits) bool { return u.waiter == waiter })
}

// expire ends what ends by itself.
func (s *modelSemaphore) expire(now int64) {
	s.owners = slices.DeleteFunc(s.owners, func(o modelUnits) bool { return o.until <= now })
	for waiter, until := range s.late {
		if until <= now {
			delete(s.late, waiter)
		}
	}
}

func (s *modelSemaphore) fits(units int64) bool {
	if s.flaw == overbooks {
		units--
	}
	return s.used()+units <= s.limit
}

func (s *modelSemaphore) take(now int64, q holdRequest, lease time.Duration) {
	if s.flaw != repeatsToken {
		s.token++
	}
	s.token = max(s.token, now)
	s.owners = append(s.owners, modelUnits{holdRequest: q, until: now + micros(lease), token: s.token})
}

// pass serves the queue. caller is the waiter that asks, "" for none.
func (s *modelSemaphore) pass(now int64, caller string) {
	for i := 0; i < len(s.queue); {
		w := s.queue[i]
		alive := w.waiter == caller || w.until > now
		if alive && !s.fits(w.units) {
			if s.flaw != skipsLarge {
				return
			}
			i++
			continue
		}
		s.queue = slices.Delete(s.queue, i, i+1)
		switch {
		case w.waiter == caller:
			s.take(now, w.holdRequest, w.lease)
		case alive:
			s.take(now, w.holdRequest, w.shortLease)
			message := fmt.Sprintf("units %d %d %s", s.token, now+micros(w.shortLease), w.waiter)
			if !s.tell(w.waiter, message) {
				s.owners = s.owners[:len(s.owners)-1]
			}
		}
	}
}

func (s *modelSemaphore) acquire(now int64, q holdRequest) (r holdResult) {
	s.expire(now)
	r.now = now
	_, late := s.late[q.waiter]
	owner, place := find(s.owners, q.waiter), find(s.queue, q.waiter)
	if owner >= 0 {
		s.owners[owner].until = max(s.owners[owner].until, now+micros(q.shortLease))
	}
	if place >= 0 {
		s.queue[place].until = now + micros(q.heartbeat)
	}
	s.pass(now, q.waiter)
	if owner < 0 && place < 0 && !late {
		alone := len(s.queue) == 0
		if alone && len(s.owners) == 0 {
			s.limit = q.limit
		}
		switch {
		case s.limit != q.limit:
			r.limit = s.limit
		case (alone || s.flaw == barges) && s.fits(q.units):
			s.take(now, q, q.lease)
		case q.heartbeat > 0:
			s.queue = append(s.queue, modelUnits{holdRequest: q, until: now + micros(q.heartbeat)})
		}
	}
	if i := find(s.owners, q.waiter); i >= 0 {
		r.owned, r.until, r.token = true, s.owners[i].until, s.owners[i].token
		if s.flaw == endsEarly {
			s.owners[i].until = now + (s.owners[i].until-now)/4
		}
	}
	return r
}

func (s *modelSemaphore) release(now int64, q holdRelease) (released bool) {
	s.expire(now)
	if i := find(s.owners, q.waiter); i >= 0 {
		s.owners = slices.Delete(s.owners, i, i+1)
		released = true
	} else if i := find(s.queue, q.waiter); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	if q.refuseLate && s.flaw != leaks {
		if s.late == nil {
			s.late = map[string]int64{}
		}
		s.late[q.waiter] = now + micros(rememberLate)
	}
	if s.flaw != forgets {
		s.pass(now, "")
	}
	return released
}

// rememberLate is REMEMBER in scripts/semaphore.lua.
const rememberLate = 5 * time.Second

func (s *modelSemaphore) renew(now int64, q renewRequest) (r renewResult) {
	s.expire(now)
	r.now = now
	if i := find(s.owners, q.owner); i >= 0 {
		s.owners[i].until = max(s.owners[i].until, now+micros(q.lease))
		r.until = s.owners[i].until
	} else {
		r.lost = true
	}
	s.pass(now, "")
	return r
}

// idle reports whether nothing is left but what a grant or a late acquire still needs.
func (s *modelSemaphore) idle() bool { return len(s.owners) == 0 && len(s.queue) == 0 }

// modelSemaphores are semaphores at the model of Redis, and what may not happen there. The mutex of the model guards them.
type modelSemaphores struct {
	*modelStore
	flaw flaw
	fail func(format string, args ...any)
	all  map[string]*modelSemaphore
	// arrivals has the order in which waiters came to the queue of each semaphore.
	arrivals map[string]int
	arrived  int
	// gone are the waiters whose acquires are to be refused.
	gone map[string]bool
}

func newModelSemaphores(m *modelStore, f flaw, fail func(format string, args ...any)) *modelSemaphores {
	return &modelSemaphores{
		modelStore: m, flaw: f, fail: fail, all: map[string]*modelSemaphore{}, arrivals: map[string]int{},
		gone: map[string]bool{},
	}
}

// serve has a semaphore do something and checks it before and after.
func (m *modelSemaphores) serve(name string, at time.Time, do func(s *modelSemaphore, now int64)) {
	s := m.all[name]
	if s == nil {
		s = &modelSemaphore{flaw: m.flaw, tell: m.tell}
		m.all[name] = s
	}
	now := m.stamp(at)
	s.expire(now)
	before := s.clone()
	do(s, now)
	m.check(name, before, s, now)
	if s.idle() && s.token < now && len(s.late) == 0 {
		delete(m.all, name)
	}
}

func (s *modelSemaphore) clone() *modelSemaphore {
	c := *s
	c.owners, c.queue = slices.Clone(s.owners), slices.Clone(s.queue)
	return &c
}

// check: no more units are granted than there are; nobody who came later was served before a waiter that is alive; nobody waits
// for what is free; nobody who gave up is served; and tokens grow.
func (m *modelSemaphores) check(name string, before, after *modelSemaphore, now int64) {
	if units := after.used(); units > after.limit {
		m.fail("%s: %d units of %d are granted", name, units, after.limit)
	}
	for _, w := range after.queue {
		if _, ok := m.arrivals[w.waiter]; !ok {
			m.arrived++
			m.arrivals[w.waiter] = m.arrived
		}
	}
	last := before.token
	for _, o := range after.owners {
		if find(before.owners, o.waiter) >= 0 {
			continue
		}
		if o.token <= last {
			m.fail("%s: token %d after %d", name, o.token, last)
		}
		last = o.token
		if m.gone[o.waiter] {
			m.fail("%s: %s holds units, and its caller had given up", name, o.waiter)
		}
		place, waited := m.arrivals[o.waiter]
		for _, w := range after.queue {
			if w.until > now && (!waited || m.arrivals[w.waiter] < place) {
				m.fail("%s: %s overtook %s", name, o.waiter, w.waiter)
			}
		}
	}
	if len(after.queue) > 0 && after.queue[0].until > now && after.used()+after.queue[0].units <= after.limit {
		m.fail("%s: %s waits for units that are free", name, after.queue[0].waiter)
	}
	for _, w := range before.queue {
		if find(after.queue, w.waiter) < 0 {
			delete(m.arrivals, w.waiter)
		}
	}
}

// semaphoreLink is one process's way to the semaphores of the model.
type semaphoreLink struct {
	link *modelLink
	sems *modelSemaphores
}

func (semaphoreLink) node(string) int { return 0 }

func (l semaphoreLink) acquire(ctx context.Context, q holdRequest) (holdResult, error) {
	return call(ctx, l.link, func(at time.Time) (r holdResult) {
		l.sems.serve(q.name, at, func(s *modelSemaphore, now int64) { r = s.acquire(now, q) })
		return r
	})
}

func (l semaphoreLink) release(ctx context.Context, requests []holdRelease) ([]bool, error) {
	return call(ctx, l.link, func(at time.Time) (released []bool) {
		for _, q := range requests {
			l.sems.gone[q.waiter] = l.sems.gone[q.waiter] || q.refuseLate
			l.sems.serve(q.name, at, func(s *modelSemaphore, now int64) { released = append(released, s.release(now, q)) })
		}
		return released
	})
}

func (l semaphoreLink) renew(ctx context.Context, requests []renewRequest) ([]renewResult, error) {
	return call(ctx, l.link, func(at time.Time) (results []renewResult) {
		for _, q := range requests {
			l.sems.serve(q.key, at, func(s *modelSemaphore, now int64) { results = append(results, s.renew(now, q)) })
		}
		return results
	})
}
