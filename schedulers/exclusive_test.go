package schedulers

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/ent/schedulerjob"
	"holdfast/internal/testenv"
)

// Of two instances, which share nothing but the database, one runs the function at a time.
func TestExclusive(t *testing.T) {
	const lease, name = 5 * time.Second, "something"
	inBubbles(t, func(t *testing.T, s stores) {
		one, two := Exclusive(s.db.Ent, "one", lease, time.Now), Exclusive(s.db.Ent, "two", lease, time.Now)
		elsewhere := func(while string) {
			t.Helper()
			err := two(t.Context(), name, func(context.Context) error {
				t.Errorf("%s: it runs on both", while)
				return nil
			})
			if !errors.Is(err, ErrElsewhere) {
				t.Errorf("%s: error %v, want ErrElsewhere", while, err)
			}
		}
		runs := func(after string) {
			t.Helper()
			ran := false
			err := two(t.Context(), name, func(context.Context) error {
				ran = true
				return nil
			})
			if !ran || err != nil {
				t.Errorf("%s: ran %v, error %v", after, ran, err)
			}
		}
		hold := func(ctx context.Context) (ended chan error) {
			started := make(chan struct{})
			ended = make(chan error, 1)
			go func() {
				ended <- one(ctx, name, func(ctx context.Context) error {
					close(started)
					<-ctx.Done()
					return context.Cause(ctx)
				})
			}()
			testenv.Receive(t, started, "the first instance to run it")
			return ended
		}

		ctx, stop := context.WithCancel(t.Context())
		ended := hold(ctx)
		time.Sleep(3 * lease) // it renews
		elsewhere("the first instance runs it")
		stop()
		testenv.Receive(t, ended, "the first instance to end")
		runs("the first instance has ended")

		ended = hold(t.Context())
		s.db.Ent.SchedulerJob.Update().Where(schedulerjob.ID(name)).SetHolder("another").ExecX(t.Context())
		if err := testenv.Receive(t, ended, "the first instance to notice that it does not hold the row"); !errors.Is(err, ErrElsewhere) {
			t.Errorf("lost: error %v, want ErrElsewhere", err)
		}
		elsewhere("another instance holds the row")
		time.Sleep(lease)
		runs("the other instance has died")
	})
}
