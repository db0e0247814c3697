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
	"holdfast/ent/familystrategy"
	"holdfast/lockprovider/ledger"
	"holdfast/lockprovider/redisfirst"
)

// failover serves a family by its strategy for as long as Redis answers, and by a strategy that needs the database alone
// while it does not.
//
// Which of the two is in force stands in the database, under an epoch, so that all instances follow: whoever finds Redis
// gone switches the family for everybody. When Redis has been back for a while, what it had admitted is persisted, and the
// family goes back under a new epoch, which begins without any balances in Redis: nothing is sold from what was true
// before the outage. An instance that has not noticed a switch cannot oversell meanwhile: every change, whoever admitted
// it, is confirmed by the database.
type failover struct {
	family   Family
	primary  Provider
	fallback Provider // nil: errors are honest, and quick
	breaker  *gobreaker.CircuitBreaker[Receipt]
	regimes  regimes
	ping     func(ctx context.Context) error
	// enter prepares the primary strategy for an epoch: it drains what the one before admitted.
	enter    func(ctx context.Context, epoch int64) error
	settings FailoverSettings
	log      *slog.Logger

	now atomic.Pointer[Regime]
}

// FailoverSettings are the bounds of the way out of an outage of Redis, and back.
type FailoverSettings struct {
	// Failures is how many failures in a row open the circuit of a family: its changes are then refused, or sent to the fallback,
	// without asking Redis.
	Failures uint32 `key:"failures" default:"3" min:"1" max:"1000"`
	// Retry is how long the circuit stays open before one change tries again.
	Retry time.Duration `key:"retry" default:"1s" min:"10ms" max:"1m"`
	// Watch is how often an instance looks which strategy is in force, and whether Redis is back.
	Watch time.Duration `key:"watch" default:"500ms" min:"50ms" max:"1m"`
	// Healthy is how many looks in a row must find Redis answering before a family leaves its fallback.
	Healthy int `key:"healthy" default:"3" min:"1" max:"1000"`
}

// DefaultFailoverSettings leave an outage within a second or two of its end.
func DefaultFailoverSettings() FailoverSettings { return setting.Default[FailoverSettings]() }

// Regime is which strategy is in force for a family.
type Regime struct {
	Epoch    int64
	Fallback bool
}

// regimes is where instances agree on regimes: the database.
type regimes interface {
	regime(ctx context.Context, f Family) (Regime, error)
	// change switches from a regime to the other, and tells false where somebody else has switched meanwhile.
	change(ctx context.Context, f Family, from Regime) (bool, error)
}

func newFailover(
	f Family, primary, fallback Provider, r regimes, epoch int64, ping func(context.Context) error,
	enter func(context.Context, int64) error, s FailoverSettings, log *slog.Logger,
) *failover {
	fo := &failover{
		family: f, primary: primary, fallback: fallback, regimes: r, ping: ping, enter: enter, settings: s,
		log: log.With("family", f),
	}
	fo.now.Store(&Regime{Epoch: epoch})
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
	if p.now.Load().Fallback {
		return p.fallback.Execute(ctx, c)
	}
	receipt, err := p.breaker.Execute(func() (Receipt, error) { return p.primary.Execute(ctx, c) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = fmt.Errorf("%w: %w: circuit open", ErrUnavailable, errRedisDown)
	}
	if !errors.Is(err, errRedisDown) || p.fallback == nil || p.breaker.State() != gobreaker.StateOpen || ctx.Err() != nil {
		return receipt, err
	}
	// Redis is gone. The change may have been admitted all the same: its ID makes sure that it is applied once.
	if serr := p.switchTo(ctx, true); serr != nil {
		return receipt, errors.Join(err, serr)
	}
	receipt, ferr := p.fallback.Execute(ctx, c)
	if errors.Is(err, ErrUnknown) && EffectOf(ferr) != EffectApplied {
		// What the fallback refuses, Redis may have admitted, to be applied when it is back.
		return receipt, ledger.Unknown("the change was sent to redis, and the fallback says", ferr)
	}
	return receipt, ferr
}

// Unwrap lets [As] find what the strategy can do that serves while Redis answers.
func (p *failover) Unwrap() Provider { return p.primary }

// Run follows the regime in force, and ends the fallback once Redis is back, until ctx ends. Without a fallback there is
// nothing to follow.
func (p *failover) Run(ctx context.Context) {
	if p.fallback == nil {
		return
	}
	healthy := 0
	for pause(ctx, jitter(p.settings.Watch)) == nil {
		if err := p.watchOnce(ctx, &healthy); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "regime not known", "error", err)
		}
	}
}

func (p *failover) watchOnce(ctx context.Context, healthy *int) error {
	if err := p.follow(ctx); err != nil {
		return err
	}
	if !p.now.Load().Fallback {
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

// follow adopts the regime that stands in the database.
func (p *failover) follow(ctx context.Context) error {
	regime, err := p.regimes.regime(ctx, p.family)
	if err != nil {
		return err
	}
	if mine := p.now.Load(); regime == *mine {
		return nil
	}
	if !regime.Fallback {
		if err := p.enter(ctx, regime.Epoch); err != nil {
			return err
		}
	}
	p.log.WarnContext(ctx, "regime changed", "fallback", regime.Fallback, "epoch", regime.Epoch)
	p.now.Store(&regime)
	return nil
}

// switchTo changes the regime for all instances, unless another one has.
func (p *failover) switchTo(ctx context.Context, fallback bool) error {
	from := *p.now.Load()
	if from.Fallback == fallback {
		return nil
	}
	if _, err := p.regimes.change(ctx, p.family, from); err != nil {
		return err
	}
	return p.follow(ctx)
}

// errRedisDown marks the failures that open the circuit.
var errRedisDown = redisfirst.ErrRedisDown

// regime implements regimes.
func (d *Deployment) regime(ctx context.Context, f Family) (Regime, error) {
	row, err := d.client.FamilyStrategy.Get(ctx, string(f))
	if err != nil {
		return Regime{}, fmt.Errorf("read the regime of %s: %w", f, err)
	}
	return Regime{Epoch: row.Epoch, Fallback: row.Fallback}, nil
}

// change implements regimes.
func (d *Deployment) change(ctx context.Context, f Family, from Regime) (bool, error) {
	n, err := d.client.FamilyStrategy.Update().
		Where(familystrategy.ID(string(f)), familystrategy.Epoch(from.Epoch)).
		SetFallback(!from.Fallback).AddEpoch(1).SetUpdatedAt(time.Now().UTC()).Save(ctx)
	if err != nil {
		return false, fmt.Errorf("switch the regime of %s: %w", f, err)
	}
	return n == 1, nil
}
