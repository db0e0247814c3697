package redisfirst

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/lockprovider/ledger"
)

// What a failure of a command says about Redis depends on who ended it: callers who leave in numbers must not open its circuit.
func TestFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	waited, cancel := context.WithTimeoutCause(t.Context(), -time.Second, ledger.ErrLockTimeout)
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want error
		down bool
	}{
		{"no failure", t.Context(), nil, nil, false},
		{"no connection", t.Context(), broken, ledger.ErrUnavailable, true},
		{"the caller has gone", gone, broken, context.Canceled, false},
		{"the caller's time is up", late, broken, context.DeadlineExceeded, false},
		{"the wait is over", waited, broken, ledger.ErrLockTimeout, false},
		{"the lock is lost", t.Context(), ledger.ErrLockLost, ledger.ErrLockLost, false},
	} {
		if err := failure(test.ctx, test.err); !errors.Is(err, test.want) || errors.Is(err, ErrRedisDown) != test.down {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
