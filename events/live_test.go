package events

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"holdfast/clients"
)

// runLive connects a Live with the others, and returns when it listens, which its watch hears as news of everything.
func runLive(t *testing.T, l *Live, w *Watch, all ...string) {
	t.Helper()
	takes(t, w, all...) // everything is news at first
	stop := Background(t.Context(), l.Run)
	t.Cleanup(func() { _ = stop() })
	takes(t, w, all...)
}

// takes waits until a watch has heard of all of these, and of nothing else.
func takes(t *testing.T, w *Watch, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	var heard []string
	for !slices.Equal(heard, want) {
		select {
		case <-w.Heard():
			heard = append(heard, w.Take()...)
			slices.Sort(heard)
			heard = slices.Compact(heard)
			if slices.ContainsFunc(heard, func(id string) bool { return !slices.Contains(want, id) }) {
				t.Fatalf("heard of %v, want %v", heard, want)
			}
		case <-ctx.Done():
			t.Fatalf("heard of %v, want %v", heard, want)
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

	// Whoever does not listen hears once what happened often.
	for range 1000 {
		one.Changed("a")
	}
	takes(t, here, "a")
	if more := here.Take(); more != nil {
		t.Errorf("heard of %v again", more)
	}

	// More than can be collected becomes "everything".
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
	if heard := here.Take(); heard != nil {
		t.Errorf("a closed watch heard of %v", heard)
	}
}

// TestLiveSurvivesRedis loses Redis: who is in the same process hears as before.
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
