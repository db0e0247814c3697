package redisfirst

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"holdfast/lockprovider/ledger"
)

// What a family has in Redis belongs to an epoch, which ends when its strategy is switched. An epoch that has ended is
// closed, then drained, then forgotten. Closing is the fence: from then on no script admits anything into the epoch,
// whichever instance has not heard of the switch. So what is drained afterwards is all that was ever admitted.
//
// An epoch is open for as long as a mark says so. Nobody opens it but with the word of the database that the epoch is still
// the current one, so that an emptied Redis opens no epoch that has ended.

// ErrClosed means that the epoch is not open: its strategy was switched, and this instance has not followed yet. Nothing was
// done.
var ErrClosed = fmt.Errorf("%w: the strategy was switched", ledger.ErrUnavailable)

// closedFor is how long Redis refuses to open a closed epoch by itself: longer than an open on its way can take. The database
// refuses it for ever.
const closedFor = 24 * time.Hour

var (
	//go:embed scripts/open.lua
	openSource string
	//go:embed scripts/close.lua
	closeSource string

	openScript  = redis.NewScript(openSource)
	closeScript = redis.NewScript(closeSource)
)

// WhileCurrent runs a function while the database holds it for certain that the epoch of a family is the current one, and
// returns [ErrClosed] if it is not. fresh tells the function that the database knows of no change at all.
type WhileCurrent func(ctx context.Context, epoch int64, do func(ctx context.Context, fresh bool) error) error

// always is the word on the only epoch of a process that shares its database with nobody.
func always(ctx context.Context, _ int64, do func(ctx context.Context, fresh bool) error) error {
	return do(ctx, true)
}

// epoch is one epoch of a family in Redis.
type epoch struct {
	redis   redis.UniversalClient
	prefix  string // of all its keys, with a hash tag
	number  int64
	timeout time.Duration // of one request
	current WhileCurrent
	opening *singleflight.Group // of the process, by prefix
	// remember is for how long a change may be repeated whose memo is not here, since the database has it from before.
	remember time.Duration
}

// mark is the key that says that the epoch is open.
func (e epoch) mark() string { return e.prefix + "open" }

func (e epoch) marks() []string { return []string{e.mark(), e.prefix + "closed"} }

// open opens the epoch if it is the current one, else it returns [ErrClosed]. All who want to at the same time, as after a loss of
// Redis, do it once.
func (e epoch) open(ctx context.Context) error {
	opened := e.opening.DoChan(e.prefix, func() (any, error) {
		bounded, cancel := e.bounded(context.WithoutCancel(ctx)) // the first may leave; the others stay
		defer cancel()
		return nil, e.openOnce(bounded)
	})
	select {
	case result := <-opened:
		if errors.Is(result.Err, context.DeadlineExceeded) { // of the bound above, and not of this caller
			return fmt.Errorf("%w: the epoch was not opened within %s", ledger.ErrUnavailable, e.timeout)
		}
		return result.Err
	case <-ctx.Done():
		return ledger.Ended(ctx)
	}
}

func (e epoch) openOnce(ctx context.Context) error {
	return e.current(ctx, e.number, func(ctx context.Context, fresh bool) error {
		unknown := int64(math.Ceil(e.remember.Seconds()))
		if fresh {
			unknown = 0
		}
		opened, err := openScript.Run(ctx, e.redis, e.marks(), unknown).Int()
		if err != nil {
			return failure(ctx, err)
		}
		if opened == 0 {
			return ErrClosed
		}
		return nil
	})
}

// ensureOpen opens the epoch unless it is open.
func (e epoch) ensureOpen(ctx context.Context) error {
	n, err := e.redis.Exists(ctx, e.mark()).Result()
	if err != nil {
		return failure(ctx, err)
	}
	if n == 1 {
		return nil
	}
	return e.open(ctx)
}

// opened does what a script of an open epoch does, and first opens the epoch if it is not.
func (e epoch) opened(ctx context.Context, do func() error) error {
	err := do()
	if !errors.Is(err, ErrClosed) {
		return err
	}
	if err := e.open(ctx); err != nil {
		return err
	}
	return do()
}

func (e epoch) close(ctx context.Context) error {
	return failure(ctx, closeScript.Run(ctx, e.redis, e.marks(), closedFor.Milliseconds()).Err())
}

// used reports whether anything of the epoch is in Redis: its mark, or its stream.
func (e epoch) used(ctx context.Context, stream string) (bool, error) {
	n, err := e.redis.Exists(ctx, e.mark(), stream).Result()
	return n > 0, failure(ctx, err)
}

// forget removes all keys of the epoch but the mark of a closed one.
func (e epoch) forget(ctx context.Context) error {
	closed := e.marks()[1]
	remove := func(ctx context.Context, node redis.UniversalClient) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, e.prefix+"*", forgetPage).Result()
			if err != nil {
				return err
			}
			keys = slices.DeleteFunc(keys, func(key string) bool { return key == closed })
			if len(keys) > 0 {
				if err := node.Unlink(ctx, keys...).Err(); err != nil { // all in one slot
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if cluster, ok := e.redis.(*redis.ClusterClient); ok {
		return failure(ctx, cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return remove(ctx, node)
		}))
	}
	return failure(ctx, remove(ctx, e.redis))
}

// forgetPage is how many keys one step of a scan looks at.
const forgetPage = 1000

// isClosed reports whether a script has refused because the epoch is not open.
func isClosed(err error) bool { return err != nil && strings.Contains(err.Error(), "CLOSED the epoch") }
