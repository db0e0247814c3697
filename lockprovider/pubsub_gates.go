package lockprovider

import (
	"context"
	"slices"
	"sync"
)

// gates order those of this process who want several keys, before any of them asks Redis: who has passed all gates of its keys
// can take them with one request, instead of one after the other while it keeps the first from everybody.
type gates struct {
	mu     sync.Mutex
	byName map[string][]chan struct{} // those behind the one who has passed; present while somebody has
}

// enter passes the gates in their order, which is the same for everyone, each in order of arrival. leave must be called after
// the locks have been released.
func (g *gates) enter(ctx context.Context, names []string) (leave func(), err error) {
	for i, name := range names {
		if err := g.pass(ctx, name); err != nil {
			g.leave(names[:i])
			return nil, err
		}
	}
	return func() { g.leave(names) }, nil
}

func (g *gates) pass(ctx context.Context, name string) error {
	g.mu.Lock()
	behind, closed := g.byName[name]
	if !closed {
		g.byName[name] = nil
		g.mu.Unlock()
		return nil
	}
	open := make(chan struct{})
	g.byName[name] = append(behind, open)
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.byName[name], open)
	if i >= 0 {
		g.byName[name] = slices.Delete(g.byName[name], i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // it has opened meanwhile
		g.leave([]string{name})
	}
	return endOfWait(ctx)
}

func (g *gates) leave(names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range names {
		behind := g.byName[name]
		if len(behind) == 0 {
			delete(g.byName, name)
			continue
		}
		g.byName[name] = behind[1:]
		close(behind[0])
	}
}
