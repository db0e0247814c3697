package lockprovider

import (
	"context"
	"time"

	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// firstAwaitPause is the first pause between two looks for the result of a change of another caller. Its message goes to the
// instance that admitted the change, and a group commit takes about as long.
const firstAwaitPause = 10 * time.Millisecond

// awaitResult waits for the result of a change of another caller. It looks again and again, and at once when a message comes;
// the message itself may be of an attempt before. look reports whether the change is still open, and else whether the database
// holds it.
func awaitResult(
	ctx context.Context, bound time.Duration, results <-chan redisfirst.Result, look func(ctx context.Context) (open, held bool, err error),
) (held bool, err error) {
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	for pause := firstAwaitPause; ; pause = min(2*pause, firstLook) {
		open, held, err := look(ctx)
		if err != nil || !open {
			return held, err
		}
		again := time.NewTimer(lock.Jitter(pause))
		select {
		case <-results:
			again.Stop()
		case <-again.C:
		case <-deadline.C:
			again.Stop()
			return false, ledger.Unknown("the change is not committed", errNoResult)
		case <-ctx.Done():
			again.Stop()
			return false, ctx.Err()
		}
	}
}
