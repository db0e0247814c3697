package handoff

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// multiKeyQueue orders the callers of this process that want several keys, before any of them asks Redis. The caller that
// is first for all its keys acquires them with one request, or with none if they are cached. Otherwise it would acquire
// one after the other, and keep the first from everybody meanwhile.
//
// The queue makes that likely. It excludes nobody: the local queues do. So no caller waits in it for long.
type multiKeyQueue struct {
	mu sync.Mutex
	// byName has the entries for each lock in their order of arrival. The first entry may go on.
	byName map[string][]*entry
}

// entry is one caller. It arrives at all its locks at once. So if two entries share any locks, the same entry is in front
// at all of them, and no two entries wait for each other.
type entry struct {
	names  []string
	behind int           // at how many locks it is not the first
	first  chan struct{} // closed when it is the first at all of them
}

func newMultiKeyQueue() multiKeyQueue { return multiKeyQueue{byName: map[string][]*entry{}} }

// enter returns when the caller is the first for all its locks, or after limit: the caller in front may be waiting for
// something else. leave must be called after the locks have been released.
func (m *multiKeyQueue) enter(
	ctx context.Context, deadline time.Time, names []string, limit time.Duration,
) (leave func(), err error) {
	e := &entry{names: names, first: make(chan struct{})}
	m.mu.Lock()
	for _, name := range names {
		if len(m.byName[name]) > 0 {
			e.behind++
		}
		m.byName[name] = append(m.byName[name], e)
	}
	blocked := e.behind > 0
	m.mu.Unlock()
	if !blocked {
		return func() { m.leave(e) }, nil
	}
	left := time.Until(deadline)
	timer := time.NewTimer(min(limit, left))
	defer timer.Stop()
	select {
	case <-e.first:
		return func() { m.leave(e) }, nil
	case <-timer.C:
		if left <= limit {
			err = lock.ErrTimeout
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.leave(e)
	return func() {}, err
}

func (m *multiKeyQueue) leave(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range e.names {
		i := slices.Index(m.byName[name], e)
		rest := slices.Delete(m.byName[name], i, i+1)
		m.byName[name] = rest
		switch {
		case len(rest) == 0:
			delete(m.byName, name)
		case i == 0:
			rest[0].behind--
			if rest[0].behind == 0 {
				close(rest[0].first)
			}
		}
	}
}

// wanted reports whether an entry waits behind the first one for a lock.
func (m *multiKeyQueue) wanted(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byName[name]) > 1
}
