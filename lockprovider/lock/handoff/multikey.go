package handoff

import (
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/lockprovider/lock"
)

// gates order those of this process who want several keys, before any of them asks Redis: who has passed the gates of all its
// keys takes them with one request, or without, instead of one after the other while it keeps the first from everybody.
// They make that likely, and exclude nobody: the lines do. So nobody stands at them for long.
type gates struct {
	mu sync.Mutex
	// at are those at each gate in order of arrival; the first has passed it. A gate that nobody is at is not there.
	at map[string][]*passage
}

// passage is one who wants to pass several gates. It stands at all of them at once: so of two that meet at any of their gates
// the same one is first at all, and nobody waits for somebody who waits for it.
type passage struct {
	names  []string
	behind int           // at how many gates it is not the first
	open   chan struct{} // closed when it is the first at all
}

// enter returns when all gates have been passed, or after a time, in which whoever is in front may have waited for something
// else. leave must be called after the locks have been released.
func (g *gates) enter(ctx context.Context, until time.Time, names []string, limit time.Duration) (leave func(), err error) {
	p := &passage{names: names, open: make(chan struct{})}
	g.mu.Lock()
	for _, name := range names {
		if len(g.at[name]) > 0 {
			p.behind++
		}
		g.at[name] = append(g.at[name], p)
	}
	blocked := p.behind > 0
	g.mu.Unlock()
	if !blocked {
		return func() { g.leave(p) }, nil
	}
	left := time.Until(until)
	timer := time.NewTimer(min(limit, left))
	defer timer.Stop()
	select {
	case <-p.open:
		return func() { g.leave(p) }, nil
	case <-timer.C:
		if left <= limit {
			err = lock.ErrTimeout
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.leave(p)
	return func() {}, err
}

func (g *gates) leave(p *passage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range p.names {
		i := slices.Index(g.at[name], p)
		rest := slices.Delete(g.at[name], i, i+1)
		g.at[name] = rest
		switch {
		case len(rest) == 0:
			delete(g.at, name)
		case i == 0:
			rest[0].behind--
			if rest[0].behind == 0 {
				close(rest[0].open)
			}
		}
	}
}

// wanted tells whether somebody is behind the one who has passed a gate.
func (g *gates) wanted(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.at[name]) > 1
}
