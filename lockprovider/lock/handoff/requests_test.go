package handoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/lockprovider/lock"
)

// TestSharedContext: requests that begin at about the same time share a context, which bounds each of them.
func TestSharedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sharedContext{timeout: lock.RequestTimeout}
		first := s.at(time.Now())
		time.Sleep(s.sharedFor() - time.Nanosecond)
		if s.at(time.Now()) != first {
			t.Error("requests that begin together have different contexts")
		}
		time.Sleep(time.Nanosecond)
		second := s.at(time.Now())
		if second == first {
			t.Errorf("a context is shared for longer than %v", s.sharedFor())
		}
		time.Sleep(lock.RequestTimeout - s.sharedFor())
		synctest.Wait()
		if first.Err() == nil || second.Err() != nil {
			t.Errorf("after a request's time: %v, and of the later one %v", first.Err(), second.Err())
		}
		s.end()
		if second.Err() == nil {
			t.Error("the timer goes on after the end")
		}
		if s.at(time.Now()).Err() != nil {
			t.Error("a request after the end has no time")
		}
		s.end()
	})
}

// TestRequestTimeout: a client waits for Redis for as long as it was told, whatever it asks of it.
func TestRequestTimeout(t *testing.T) {
	asks := map[string]func(ctx context.Context, c *Client) error{
		"lock": func(ctx context.Context, c *Client) error {
			_, _, err := c.Locker(lock.Settings{Wait: time.Hour, Lease: time.Hour, Poll: time.Hour}).Lock(ctx, []string{"key"})
			return err
		},
		"semaphore": func(ctx context.Context, c *Client) error {
			_, _, err := c.RWLocker(lock.Settings{Wait: time.Hour, Lease: time.Hour, Poll: time.Hour}).Lock(ctx, []string{"key"})
			return err
		},
	}
	for what, ask := range asks {
		t.Run(what, func(t *testing.T) {
			took := func(timeout time.Duration) (took time.Duration) {
				synctest.Test(t, func(t *testing.T) {
					m := newModelStore(faults{delay: time.Millisecond})
					l := m.open("a", 1)
					if timeout > 0 {
						l.client = newClient(l, "a", lock.NoMetrics{}, timeoutsOf(timeout))
						l.client.onGap(true)
					}
					l.client.semaphores.store = silent{}
					l.setCut(true)
					began := time.Now()
					if err := ask(t.Context(), l.client); !errors.Is(err, lock.ErrUnavailable) {
						t.Errorf("a Redis that does not answer: %v, want ErrUnavailable", err)
					}
					took = time.Since(began)
					_ = l.client.Close()
				})
				return took
			}
			usual, longer := took(0), took(7*lock.RequestTimeout)
			// Requests that begin together share a timer, which may end a tenth earlier; pauses between requests are not scaled.
			if usual < lock.RequestTimeout || longer < 6*usual || longer > 7*usual+time.Second {
				t.Errorf("it took %v, and %v if a request may take 7 times as long", usual, longer)
			}
		})
	}
}

// silent is a Redis that does not answer.
type silent struct{ semaphoreStore }

func (silent) node(string) int { return 0 }

func (silent) acquire(ctx context.Context, _ holdRequest) (holdResult, error) {
	<-ctx.Done()
	return holdResult{}, ctx.Err()
}

func (silent) release(ctx context.Context, requests []holdRelease) ([]bool, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
