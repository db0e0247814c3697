package events

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"holdfast/clients"
)

// runLive connects a Live with the others, and returns when it listens, of which its watch is notified by a change of all objects.
func runLive(t *testing.T, l *Live, w *Watch, all ...string) {
	t.Helper()
	takes(t, w, all...) // all count as changed at first
	stop := Background(t.Context(), l.Run)
	t.Cleanup(func() { _ = stop() })
	takes(t, w, all...)
}

// takes waits until a watch was notified of all of these, and of nothing else.
func takes(t *testing.T, w *Watch, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	var changed []string
	for !slices.Equal(changed, want) {
		select {
		case <-w.Notified():
			changed = append(changed, w.Take()...)
			slices.Sort(changed)
			changed = slices.Compact(changed)
			if slices.ContainsFunc(changed, func(id string) bool { return !slices.Contains(want, id) }) {
				t.Fatalf("notified of %v, want %v", changed, want)
			}
		case <-ctx.Done():
			t.Fatalf("notified of %v, want %v", changed, want)
		}
	}
}

func TestLive(t *testing.T) {
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	quiet := slog.New(slog.DiscardHandler)
	one, two := NewLive(redis.Client, "one", quiet), NewLive(redis.Client, "two", quiet)
	here, there := one.Watch("a", "b"), two.Watch("a", "c")
	runLive(t, one, here, "a", "b")
	runLive(t, two, there, "a", "c")

	one.Changed("b", "c", "d")
	takes(t, here, "b")
	takes(t, there, "c")
	two.Changed("a")
	takes(t, here, "a")
	takes(t, there, "a")

	// A watch that is not read is notified once of many changes.
	for range 1000 {
		one.Changed("a")
	}
	takes(t, here, "a")
	if more := here.Take(); more != nil {
		t.Errorf("notified of %v again", more)
	}

	// More than can be collected becomes "all objects".
	many := make([]string, 20_000)
	for i := range many {
		many[i] = "x" + time.Duration(i).String()
	}
	one.Changed(many...)
	takes(t, here, "a", "b")
	takes(t, there, "a", "c")

	here.Close()
	two.Changed("a")
	takes(t, there, "a")
	if changed := here.Take(); changed != nil {
		t.Errorf("a closed watch notified of %v", changed)
	}
}

// TestLiveSurvivesRedis loses Redis: watches of the same process are notified as before.
func TestLiveSurvivesRedis(t *testing.T) {
	redis, err := clients.OpenRedis(t.Context(), clients.RedisOptions{URL: clients.EmbeddedRedis})
	if err != nil {
		t.Fatal(err)
	}
	one := NewLive(redis.Client, "one", slog.New(slog.DiscardHandler))
	watch := one.Watch("a")
	runLive(t, one, watch, "a")
	if err := redis.Close(); err != nil {
		t.Fatal(err)
	}
	one.Changed("a") // here, nobody needs Redis
	takes(t, watch, "a")
}
