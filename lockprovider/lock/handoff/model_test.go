package handoff

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// modelStore is a lockStore in memory that does what the scripts do, over a network that delays, and loses what it is told to.
// With it the rest of the lock runs in a synctest bubble, where time passes only when everybody waits.
type modelStore struct {
	faults faults

	mu    sync.Mutex
	clock time.Duration // by which Redis' clock is ahead
	calls int           // requests that came through
	locks map[string]*modelLock
	links map[string]*modelLink
}

// faults are probabilities, and bounds of delays.
type faults struct {
	requestLost, replyLost, messageLost float64
	delay                               time.Duration
}

type modelLock struct {
	owner string
	until time.Time
	token int64
	line  []modelWaiter
	// given are the waiters that each instance has given up, up to that number.
	given map[string]int
}

type modelWaiter struct {
	id       string
	deadline time.Time
}

// modelLink is one process's way to the model.
type modelLink struct {
	model  *modelStore
	client *Client

	mu   sync.Mutex
	rand *rand.Rand
	cut  bool // nothing comes through any more
}

func newModelStore(f faults) *modelStore {
	return &modelStore{faults: f, clock: 5 * time.Minute, locks: map[string]*modelLock{}, links: map[string]*modelLink{}}
}

// open is the hub of a new process. All that its network does is drawn from the seed.
func (m *modelStore) open(name string, seed uint64) *modelLink {
	l := &modelLink{model: m, rand: rand.New(rand.NewPCG(seed, uint64(len(m.links))))}
	l.client = newClient(l, name, lock.NoMetrics{}, timeoutsOf(0))
	m.links[name] = l
	l.client.onGap(true) // it hears
	return l
}

func (l *modelLink) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *modelLink) draw(lost float64) (delay time.Duration, isLost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.rand.Int64N(int64(l.model.faults.delay))) + 1, l.rand.Float64() < lost || l.cut
}

var errModelNetwork = errors.New("the network lost it")

// call is a request, what it does in Redis, and the reply. What is lost costs the request's whole timeout, and comes to Redis
// later, if ever.
func call[T any](ctx context.Context, l *modelLink, do func(now time.Time) T) (answer T, err error) {
	serve := func() T {
		l.model.mu.Lock()
		defer l.model.mu.Unlock()
		l.model.calls++
		return do(time.Now())
	}
	delay, lost := l.draw(l.model.faults.requestLost)
	if lost {
		if late, never := l.draw(0.5); !never {
			time.AfterFunc(100*late, func() { serve() })
		}
		<-ctx.Done()
		return answer, errModelNetwork
	}
	if err := lock.Pause(ctx, delay); err != nil {
		return answer, err
	}
	answer = serve()
	delay, lost = l.draw(l.model.faults.replyLost)
	if lost {
		<-ctx.Done()
		return answer, errModelNetwork
	}
	return answer, lock.Pause(ctx, delay)
}

// setBack sets Redis' clock back, as an administrator or a time server may. Leases and deadlines end when the clock shows
// their end. It calls known with each lock whose token Redis knows at this moment: that of its holder, or one that it remembers.
func (m *modelStore) setBack(by time.Duration, known func(name string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for name := range m.locks {
		if lock := m.lock(name, now); lock.owner != "" && lock.token != 0 || lock.token >= m.stamp(now) {
			known(name)
		}
	}
	m.clock -= by
	for _, lock := range m.locks {
		lock.until = lock.until.Add(by)
		for i := range lock.line {
			lock.line[i].deadline = lock.line[i].deadline.Add(by)
		}
	}
}

// stamp is a time as Redis' clock shows it.
func (m *modelStore) stamp(t time.Time) int64 { return t.Add(m.clock).UnixMicro() }

func (m *modelStore) lock(name string, now time.Time) *modelLock {
	lock := m.locks[name]
	if lock == nil {
		lock = &modelLock{}
		m.locks[name] = lock
	}
	if lock.owner != "" && !now.Before(lock.until) {
		lock.owner = ""
	}
	return lock
}

func (m *modelStore) take(lock *modelLock, id string, lease time.Duration, now time.Time) {
	lock.token = max(lock.token+tokensReserved, m.stamp(now))
	lock.owner, lock.until = id, now.Add(lease)
}

// tell delivers a message later, to a process that is there. It tells whether it is.
func (m *modelStore) tell(id, message string) bool {
	name, _, _ := strings.Cut(id, "|")
	l := m.links[name]
	delay, lost := l.draw(m.faults.messageLost)
	l.mu.Lock()
	dead := l.cut
	l.mu.Unlock()
	if dead {
		return false
	}
	if !lost {
		time.AfterFunc(delay, func() { l.client.onMessage(message) })
	}
	return true
}

func (m *modelStore) pass(name string, lock *modelLock, caller string, b bounds, now time.Time) {
	for len(lock.line) > 0 {
		w := lock.line[0]
		lock.line = lock.line[1:]
		if w.id == caller {
			m.take(lock, w.id, b.lease, now)
			return
		}
		if !now.Before(w.deadline) {
			continue
		}
		m.take(lock, w.id, b.grant, now)
		if m.tell(w.id, fmt.Sprintf("granted %s %d %d %d %s", w.id, lock.token, m.stamp(lock.until), len(lock.line), name)) {
			return
		}
		lock.owner = ""
	}
	if lock.owner == "" {
		m.idle(name, lock, now)
	}
}

func (m *modelStore) idle(name string, lock *modelLock, now time.Time) {
	if len(lock.line) == 0 && lock.token < m.stamp(now) && len(lock.given) == 0 {
		delete(m.locks, name)
	}
}

// enqueue puts a waiter in line, and tells whether it is new there.
func (m *modelStore) enqueue(name string, lock *modelLock, id string, heartbeat time.Duration, now time.Time) bool {
	w := modelWaiter{id, now.Add(heartbeat)}
	if i := slices.IndexFunc(lock.line, func(w modelWaiter) bool { return w.id == id }); i >= 0 {
		lock.line[i] = w
		return false
	}
	lock.line = append(lock.line, w)
	if len(lock.line) == 1 && lock.owner != "" {
		m.tell(lock.owner, "wanted "+name)
	}
	return true
}

func (lock *modelLock) giveUp(id string) {
	instance, number := splitID(id)
	if lock.given == nil {
		lock.given = map[string]int{}
	}
	lock.given[instance] = max(lock.given[instance], number)
}

func (lock *modelLock) givenUp(id string) bool {
	instance, number := splitID(id)
	return number <= lock.given[instance]
}

func splitID(id string) (instance string, number int) {
	instance, digits, _ := strings.Cut(id, "|")
	number, err := strconv.Atoi(digits)
	if err != nil {
		panic(err)
	}
	return instance, number
}

func (m *modelStore) answer(lock *modelLock, id string, now time.Time) acquireResult {
	if lock.owner != id {
		return acquireResult{now: m.stamp(now)}
	}
	return acquireResult{now: m.stamp(now), until: m.stamp(lock.until), token: lock.token, owned: true, waiting: len(lock.line)}
}

func (*modelLink) name(key string) string { return key }

func (*modelLink) node(string) int { return 0 }

func (l *modelLink) acquireIdle(ctx context.Context, key, id string, b bounds) (bool, error) {
	m := l.model
	return call(ctx, l, func(now time.Time) bool {
		lock := m.lock(key, now)
		idle := lock.owner == "" && len(lock.line) == 0 && len(lock.given) == 0 && lock.token < m.stamp(now)
		if idle {
			lock.owner, lock.token, lock.until = id, 0, now.Add(b.lease)
		}
		return idle
	})
}

func (l *modelLink) fence(ctx context.Context, key, owner string) (int64, error) {
	m := l.model
	token, err := call(ctx, l, func(now time.Time) int64 {
		lock := m.lock(key, now)
		switch {
		case lock.owner != owner:
			return 0
		case lock.token == 0:
			lock.token = m.stamp(now)
		}
		return lock.token
	})
	if err == nil && token == 0 {
		err = lock.ErrLost
	}
	return token, err
}

func (l *modelLink) acquire(ctx context.Context, key, id string, b bounds) (acquireResult, error) {
	m := l.model
	return call(ctx, l, func(now time.Time) acquireResult {
		lock := m.lock(key, now)
		switch {
		case lock.givenUp(id):
		case lock.owner == id:
			if short := now.Add(b.grant); short.After(lock.until) {
				lock.until = short
			}
		case lock.owner == "" && len(lock.line) == 0:
			m.take(lock, id, b.lease, now)
		default:
			if !m.enqueue(key, lock, id, b.heartbeat, now) && lock.owner != "" {
				m.tell(lock.owner, "wanted "+key)
			}
			if lock.owner == "" {
				m.pass(key, lock, id, b, now)
			}
		}
		return m.answer(lock, id, now)
	})
}

func (l *modelLink) acquireAll(ctx context.Context, keys, ids []string, b bounds) ([]acquireResult, error) {
	m := l.model
	return call(ctx, l, func(now time.Time) (all []acquireResult) {
		for i, key := range keys {
			lock := m.lock(key, now)
			if lock.owner != ids[i] && (lock.owner != "" || len(lock.line) > 0) {
				if lock.owner != "" {
					m.tell(lock.owner, "wanted "+key)
				}
				return nil
			}
			if lock.givenUp(ids[i]) {
				return nil
			}
		}
		for i, key := range keys {
			lock := m.lock(key, now)
			m.take(lock, ids[i], b.lease, now)
			all = append(all, m.answer(lock, ids[i], now))
		}
		return all
	})
}

func (l *modelLink) release(ctx context.Context, leaving []releaseRequest) ([]releaseResult, error) {
	m := l.model
	return call(ctx, l, func(now time.Time) (answers []releaseResult) {
		for _, d := range leaving {
			lock := m.lock(d.key, now)
			was := lock.owner == d.owner
			if was {
				lock.owner, lock.token = "", max(lock.token, d.lastToken)
			} else {
				lock.line = slices.DeleteFunc(lock.line, func(w modelWaiter) bool { return w.id == d.owner })
			}
			if d.enqueue != "" && lock.owner != d.enqueue && !lock.givenUp(d.enqueue) {
				m.enqueue(d.key, lock, d.enqueue, d.bounds.heartbeat, now)
			}
			if d.refuseLate {
				lock.giveUp(d.owner)
			}
			if lock.owner == "" {
				m.pass(d.key, lock, d.enqueue, d.bounds, now)
			}
			answers = append(answers, releaseResult{acquireResult: m.answer(lock, d.enqueue, now), lost: !was})
		}
		return answers
	})
}

func (l *modelLink) renew(ctx context.Context, leases []renewRequest) ([]renewResult, error) {
	m := l.model
	return call(ctx, l, func(now time.Time) (answers []renewResult) {
		for _, r := range leases {
			lock := m.lock(r.key, now)
			answer := renewResult{now: m.stamp(now), lost: lock.owner != r.owner, waiting: len(lock.line)}
			if !answer.lost {
				lock.until = now.Add(r.lease)
				answer.until = m.stamp(lock.until)
			}
			answers = append(answers, answer)
		}
		return answers
	})
}
