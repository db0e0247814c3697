package events

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"holdfast/lockprovider/ledger"
)

// arriveAll has the calls of a batch arrive in any order, those of every third position with nothing to commit, and returns
// what each call returned.
func arriveAll(t *testing.T, n int, s settle) []error {
	t.Helper()
	c := newCollector(batchOf(n), s)
	results := make([]error, n)
	var calls sync.WaitGroup
	for _, i := range rand.Perm(n) {
		calls.Go(func() {
			if i%3 > 0 {
				results[i] = c.commit(i)
			}
			c.leave(i)
		})
	}
	calls.Wait()
	return results
}

func batchOf(n int) []ledger.Admitted {
	batch := make([]ledger.Admitted, n)
	for i := range batch {
		batch[i].StreamID = streamID(i)
	}
	return batch
}

func streamID(position int) string { return fmt.Sprint("1-", position) }

func TestCollectorSettlesOnceInOrder(t *testing.T) {
	noLeaks(t)
	const n = 300
	settled := 0
	results := arriveAll(t, n, func(group []ledger.Admitted) (map[string]bool, error) {
		settled++ // without a lock: -race finds a second call
		if len(group) != n/3*2 {
			t.Errorf("%d changes in the group", len(group))
		}
		last := 0
		for _, change := range group {
			position := last + 1
			if position%3 == 0 {
				position++
			}
			if change.StreamID != streamID(position) {
				t.Fatalf("%s at the place of %s", change.StreamID, streamID(position))
			}
			last = position
		}
		return nil, nil
	})
	if settled != 1 {
		t.Errorf("settled %d times", settled)
	}
	if err := errors.Join(results...); err != nil {
		t.Error(err)
	}
}

// Nobody returns before the group is settled, but those that have nothing to commit.
func TestCollectorWaitsForAll(t *testing.T) {
	noLeaks(t)
	began, release := make(chan struct{}), make(chan struct{})
	c := newCollector(batchOf(3), func([]ledger.Admitted) (map[string]bool, error) {
		close(began)
		<-release
		return nil, nil
	})
	returned := make(chan int, 2)
	var calls sync.WaitGroup
	for i := range 2 {
		calls.Go(func() {
			if err := c.commit(i); err != nil {
				t.Error(err)
			}
			returned <- i
		})
	}
	select {
	case <-began:
		t.Error("settled before all have arrived")
	default:
	}
	calls.Go(func() { c.leave(2) })
	<-began
	select {
	case i := <-returned:
		t.Errorf("call %d returned before the group was settled", i)
	default:
	}
	close(release)
	calls.Wait()
}

func TestCollectorFailsAll(t *testing.T) {
	for name, test := range map[string]struct {
		settle settle
		want   string
	}{
		"error": {func([]ledger.Admitted) (map[string]bool, error) { return nil, errOnPurpose }, errOnPurpose.Error()},
		"panic": {func([]ledger.Admitted) (map[string]bool, error) { panic(errOnPurpose) }, "panic occurred"},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			for i, err := range arriveAll(t, 30, test.settle) {
				if i%3 == 0 {
					continue
				}
				if !waits(err) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
}

func TestCollectorHoldsBackWhatWaits(t *testing.T) {
	noLeaks(t)
	results := arriveAll(t, 30, func([]ledger.Admitted) (map[string]bool, error) {
		return map[string]bool{streamID(4): true, streamID(7): true}, nil
	})
	for i, err := range results {
		if held := i == 4 || i == 7; waits(err) != held || errors.Is(err, errEarlierOnTheirWay) != held {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestCollectorOfNothing(t *testing.T) {
	noLeaks(t)
	c := newCollector(batchOf(2), func([]ledger.Admitted) (map[string]bool, error) {
		t.Error("settled without a change")
		return nil, nil
	})
	c.leave(0)
	c.leave(1)
	<-c.settled
}
