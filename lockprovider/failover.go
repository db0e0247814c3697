package lockprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"holdfast/config/setting"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

// failover serves a family by its strategy while Redis answers. While Redis does not answer, it serves the family by a
// strategy that needs the database alone.
//
// The database holds the active mode, so that all instances follow: the instance that finds Redis gone switches the family
// for all of them. When Redis has been back for a while, the changes that it had admitted are persisted. Then the family
// goes back under a new epoch, which begins without any balance in Redis: nothing is sold from what was true before the
// outage. An instance that has not noticed a switch cannot oversell meanwhile, since the database confirms every change.
type failover struct {
	family   Family
	primary  Provider
	fallback Provider // nil: while the circuit is open, changes are refused at once
	// fallbackName and ledger are what a refusal of the fallback is written down with.
	fallbackName Strategy
	ledger       *Ledger
	breaker      *gobreaker.CircuitBreaker[Receipt]
	deployment   *Deployment
	ping         func(ctx context.Context) error
	// beginEpoch prepares the primary strategy for an epoch: it drains what Redis admitted in the one before.
	beginEpoch func(ctx context.Context, epoch int64) error
	settings   FailoverSettings
	log        *slog.Logger

	following chan struct{}              // has room for one: an epoch is begun once
	notBegun  uint32                     // how often in a row it could not be begun, since Redis was away again
	active    atomic.Pointer[activeMode] // as this instance knows it
}

// FailoverSettings are the bounds of the way out of an outage of Redis, and back.
type FailoverSettings struct {
	// Failures is how many failures in a row open the circuit of a family: its changes are then refused, or sent to the fallback,
	// without asking Redis.
	Failures uint32 `key:"failures" default:"3" min:"1" max:"1000"`
	// Retry is how long the circuit stays open before one change tries again.
	Retry time.Duration `key:"retry" default:"1s" min:"10ms" max:"1m"`
	// Watch is how often an instance reads the active mode, and looks whether Redis is back.
	Watch time.Duration `key:"watch" default:"500ms" min:"50ms" max:"1m"`
	// Healthy is how many looks in a row must find Redis answering before a family leaves its fallback.
	Healthy int `key:"healthy" default:"3" min:"1" max:"1000"`
}

// DefaultFailoverSettings leave an outage within a second or two of its end.
func DefaultFailoverSettings() FailoverSettings { return setting.Default[FailoverSettings]() }

func newFailover(
	f Family, primary, fallback Provider, d *Deployment, epoch int64, ping func(context.Context) error,
	beginEpoch func(context.Context, int64) error, s FailoverSettings, log *slog.Logger,
) *failover {
	fo := &failover{
		family: f, primary: primary, fallback: fallback, deployment: d, ping: ping, beginEpoch: beginEpoch, settings: s,
		log: log.With("family", f),
	}
	fo.following = make(chan struct{}, 1)
	fo.active.Store(&activeMode{epoch: epoch})
	fo.breaker = gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{
		Name: string(f), Timeout: s.Retry,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= s.Failures },
		IsSuccessful: func(err error) bool { return !errors.Is(err, errRedisDown) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			fo.log.Warn("circuit to redis", "from", from.String(), "to", to.String())
		},
	})
	return fo
}

func (p *failover) Execute(ctx context.Context, c Change) (Receipt, error) {
	if p.fallback != nil && p.active.Load().fallback {
		return p.fallBack(ctx, c)
	}
	receipt, err := p.breaker.Execute(func() (Receipt, error) { return p.primary.Execute(ctx, c) })
	if errors.Is(err, redisfirst.ErrClosed) {
		return p.followed(ctx, c, err)
	}
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = fmt.Errorf("%w: %w: circuit open", ErrUnavailable, errRedisDown)
	}
	if !errors.Is(err, errRedisDown) || p.fallback == nil || p.breaker.State() != gobreaker.StateOpen || ctx.Err() != nil {
		return receipt, err
	}
	// Redis is gone. The change may have been admitted all the same: its ID makes sure that it is applied once.
	if serr := p.switchTo(ctx, true); serr != nil {
		return receipt, fmt.Errorf("%w: %v", err, serr) //nolint:errorlint // what became of the change, only the first tells
	}
	receipt, ferr := p.fallBack(ctx, c)
	if errors.Is(err, ErrUnknown) && EffectOf(ferr) == EffectNotStarted {
		return receipt, ledger.Unknown("the change was sent to redis, and the fallback says", ferr)
	}
	return receipt, ferr
}

// fallBack executes a change without Redis. What the fallback refuses, Redis may have admitted before its outage, to be
// persisted when it is back. So a refusal is made final before it is told.
func (p *failover) fallBack(ctx context.Context, c Change) (Receipt, error) {
	receipt, err := p.fallback.Execute(ctx, c)
	var refused *Refused
	var rejected *Rejected
	if !errors.As(err, &refused) && !errors.As(err, &rejected) {
		return receipt, err
	}
	mode, rerr := p.deployment.activeMode(ctx, p.family)
	if rerr == nil && !mode.fallback { // other instances have gone back to Redis, which decides again
		rerr = p.follow(ctx)
		if mode = *p.active.Load(); rerr == nil && !mode.fallback {
			return p.primary.Execute(ctx, c)
		}
	}
	if rerr != nil {
		return receipt, ledger.Unknown("whether redis had admitted the change", rerr)
	}
	final, rerr := p.ledger.Refuse(ctx, p.fallbackName, c, ledger.Admission{Epoch: mode.epoch}, err)
	switch {
	case rerr != nil:
		return receipt, ledger.Unknown("whether redis had admitted the change", rerr)
	case !final:
		return firstReceipt(ctx, p.ledger, c, "a change that was applied before")
	}
	return receipt, err
}

// followed executes a change that was refused because its epoch has ended, in the epoch that is active by now.
func (p *failover) followed(ctx context.Context, c Change, closed error) (Receipt, error) {
	if err := p.follow(ctx); err != nil {
		return Receipt{}, fmt.Errorf("%w: %v", closed, err) //nolint:errorlint // what became of the change, only the first tells
	}
	switch active := p.active.Load(); {
	case !active.fallback:
		return p.primary.Execute(ctx, c)
	case p.fallback == nil: // another configuration had one; Run ends it
		return Receipt{}, closed
	}
	return p.fallBack(ctx, c)
}

// Unwrap lets [As] find what the strategy can do that serves while Redis answers.
func (p *failover) Unwrap() Provider { return p.primary }

// seldom is how many times Watch an instance waits before it looks at the active mode of a family that has no fallback.
const seldom = 10

// Run follows the active mode, and ends the fallback once Redis is back, until ctx ends. Without a fallback the mode changes
// only if instances with another configuration had one, or if Redis or the database was restored: then it looks seldom.
func (p *failover) Run(ctx context.Context) {
	healthy := 0
	for looks := 1; lock.Pause(ctx, lock.Jitter(p.settings.Watch)) == nil; looks++ {
		if p.fallback == nil && !p.active.Load().fallback && looks%seldom != 0 {
			continue
		}
		if err := p.watchOnce(ctx, &healthy); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "active mode not known", "error", err)
		}
	}
}

func (p *failover) watchOnce(ctx context.Context, healthy *int) error {
	if err := p.follow(ctx); err != nil {
		return err
	}
	if !p.active.Load().fallback {
		*healthy = 0
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, p.settings.Watch)
	defer cancel()
	if p.ping(bounded) != nil {
		*healthy = 0
		return nil
	}
	*healthy++
	if *healthy < p.settings.Healthy {
		return nil
	}
	*healthy = 0
	return p.switchTo(ctx, false)
}

// follow adopts the active mode that the database holds.
func (p *failover) follow(ctx context.Context) error {
	select {
	case p.following <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.following }()
	mode, err := p.deployment.activeMode(ctx, p.family)
	if err != nil {
		return err
	}
	if mode == *p.active.Load() {
		return nil
	}
	if !mode.fallback {
		err := p.beginEpoch(ctx, mode.epoch)
		if mode, err = p.begun(ctx, mode, err); err != nil {
			return err
		}
	}
	p.log.WarnContext(ctx, "active mode changed", "fallback", mode.fallback, "epoch", mode.epoch)
	p.active.Store(&mode)
	return nil
}

// begun returns the mode that is active after an epoch was begun, or could not be. If Redis has gone away again before any instance has opened
// the epoch, the mode says that Redis serves the family, and none can: then this one switches to the fallback, as it does if Redis goes away later. If
// another instance has opened it, this one may be the only one that does not reach Redis.
func (p *failover) begun(ctx context.Context, mode activeMode, err error) (activeMode, error) {
	if err == nil {
		p.notBegun = 0
		return mode, nil
	}
	if p.fallback == nil || !errors.Is(err, errRedisDown) || ctx.Err() != nil {
		return mode, err
	}
	p.notBegun++
	if p.notBegun < p.settings.Failures {
		return mode, err
	}
	if opened, oerr := p.deployment.opened(ctx, p.family, mode); oerr != nil || opened {
		return mode, err
	}
	p.notBegun = 0
	if serr := p.deployment.switchMode(ctx, p.family, mode); serr != nil {
		return mode, fmt.Errorf("%w: %v", err, serr) //nolint:errorlint // the first is what the caller asks about
	}
	mode, serr := p.deployment.activeMode(ctx, p.family)
	if serr == nil && !mode.fallback { // another instance was faster, and is back already: the next look follows it
		serr = err
	}
	return mode, serr
}

// switchTo changes the active mode for all instances, unless another instance has changed it meanwhile.
func (p *failover) switchTo(ctx context.Context, fallback bool) error {
	from := *p.active.Load()
	if from.fallback == fallback {
		return nil
	}
	if err := p.deployment.switchMode(ctx, p.family, from); err != nil {
		return err
	}
	return p.follow(ctx)
}

// errRedisDown marks the failures that open the circuit.
var errRedisDown = redisfirst.ErrRedisDown
