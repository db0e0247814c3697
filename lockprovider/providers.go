package lockprovider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/lock/handoff"
	"holdfast/lockprovider/redisfirst"
)

// Settings are the bounds of one family's strategy; each strategy uses those that concern it.
type Settings struct {
	// Wait is the longest time to wait for a lock of whatever kind.
	Wait time.Duration `key:"wait" default:"5s" min:"1ms" max:"1m"`
	// Lease is how long a lock in Redis lives without renewal: how long a dead holder blocks the others.
	Lease time.Duration `key:"lease" default:"3s" min:"100ms" max:"10m"`
	// Poll is how long setnx and pubsub wait before they ask for a lock again on their own, and redsync's longest retry delay.
	// 0s is the strategy's own: setnx 50ms, redsync 150ms (±50 %), others 300ms.
	Poll time.Duration `key:"poll" min:"1ms" max:"10s"`
	// Attempts is how often a change is tried if somebody else changes its balances meanwhile.
	Attempts int `key:"attempts" default:"3" min:"1" max:"100"`
	// Backoff is the pause of optimistic between such attempts, ±50 %.
	Backoff time.Duration `key:"backoff" default:"50ms" min:"1ms" max:"10s"`
	// Ack says when lua answers. persisted: after the commit. accepted: when Redis has admitted the change.
	Ack Ack `key:"ack" default:"persisted" oneof:"persisted accepted"`
	// Pipeline are the bounds of lua, queue and groupcommit, the same for all families.
	Pipeline PipelineSettings
}

// PipelineSettings are the bounds of changes on their way from Redis into the database.
type PipelineSettings struct {
	// PersistWait is how long an operation waits for its commit; then it is answered as accepted. What needs a change that was
	// accepted waits as long, and is then refused as retryable.
	PersistWait time.Duration `key:"persistWait" default:"5s" min:"10ms" max:"1m"`
	// Backlog is how many changes of a family may wait to be persisted; more are refused as busy. Under groupcommit, each instance
	// counts its own.
	Backlog int64 `key:"backlog" default:"10000" min:"256" max:"1000000"`
	// RequestTimeout is how long Redis may take for one request of lua or queue. A Redis that takes longer counts as one that does not answer.
	RequestTimeout time.Duration `key:"requestTimeout" default:"1s" min:"100ms" max:"1m"`
	// Remember is how long Redis knows the ID of a change. The database knows it at least as long.
	Remember time.Duration `key:"remember" default:"24h" min:"1m" max:"720h"`
}

// Deps is what strategies are built from.
type Deps struct {
	Ledger *Ledger
	// Redis is the client of the one logical Redis. Its retries must be off (MaxRetries: -1): a script whose reply was
	// lost would run twice.
	Redis redis.UniversalClient
	// RedisNodes are the independent nodes that redsync's quorum is taken over; the one Redis where there is only one.
	RedisNodes []redis.UniversalClient
	Settings   Settings
	Metrics    *Metrics

	// Instance names this process among those that share Redis.
	Instance string
	// Epochs tell how often each family's strategy has been switched; see [Deployment.Epochs].
	Epochs map[Family]int64
	// Deployment is where instances agree to use the fallback; without one, there is none.
	Deployment *Deployment
	// Failover are the bounds of the way out of an outage of Redis; [DefaultFailoverSettings] where they are zero.
	Failover FailoverSettings
	// Log takes what operators should know; nil discards it.
	Log *slog.Logger

	// Worker are the bounds of the worker that serves a queue; [DefaultWorkerSettings] where they are zero.
	Worker WorkerSettings

	family        Family
	handoff       *handoff.Client
	confirmations *redisfirst.Confirmations
	served        func(Change)
}

// FamilyConfig is one family's strategy and its bounds.
type FamilyConfig struct {
	// Strategy is the name of the strategy.
	Strategy Strategy `key:"provider"`
	Settings Settings `key:",inline"`
	// Fallback is the strategy that serves the family while Redis is away: rowlock, optimistic, atomicsql or groupcommit. If it is empty,
	// operations are refused as retryable. All instances switch together, and back once Redis has answered for a while.
	Fallback Strategy `key:"fallback"`
}

// Providers are the families' providers and what they share.
type Providers struct {
	byFamily      map[Family]Provider
	strategies    map[Family]Strategy
	handoff       *handoff.Client
	confirmations *redisfirst.Confirmations // nil if no family needs them
	deps          Deps
	served        atomic.Pointer[func(Change)]
	persister     func(*redisfirst.Store, *redisfirst.Confirmations) Persister // nil: other processes persist
}

// Build constructs one provider a family.
func Build(d Deps, families map[Family]FamilyConfig) (*Providers, error) {
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	if d.Failover == (FailoverSettings{}) {
		d.Failover = DefaultFailoverSettings()
	}
	if d.Worker == (WorkerSettings{}) {
		d.Worker = DefaultWorkerSettings()
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	p := &Providers{byFamily: map[Family]Provider{}, strategies: map[Family]Strategy{}}
	d.served = func(c Change) {
		if tell := p.served.Load(); tell != nil {
			(*tell)(c)
		}
	}
	p.deps = d
	if d.Redis != nil {
		// One connection a process, whatever the number of families.
		p.handoff = handoff.Open(d.Redis, handoff.Options{Instance: d.Instance, Metrics: d.Metrics.lock.of(PubSub)})
	}
	for _, family := range Families {
		cfg, ok := families[family]
		if !ok {
			return nil, fmt.Errorf("family %s has no strategy", family)
		}
		info, ok := Lookup(cfg.Strategy)
		if !ok {
			return nil, fmt.Errorf("family %s: unknown strategy %q (have %s)", family, cfg.Strategy, names())
		}
		if info.Needs.Redis && d.Redis == nil {
			return nil, fmt.Errorf("family %s: strategy %s needs Redis", family, cfg.Strategy)
		}
		if d.Ledger != nil && !info.Needs.Allow(d.Ledger.Dialect()) {
			return nil, fmt.Errorf("family %s: strategy %s needs %s", family, cfg.Strategy, info.Needs)
		}
		if info.WritesBehind && p.confirmations == nil {
			p.confirmations = redisfirst.NewConfirmations(d.Redis, d.Instance)
		}
		d.family, d.Settings, d.handoff, d.confirmations = family, cfg.Settings, p.handoff, p.confirmations
		provider, err := info.provider(d)
		if err != nil {
			_ = p.Close()
			return nil, fmt.Errorf("family %s: %w", family, err)
		}
		if provider, err = p.withFailover(family, cfg, info, provider); err != nil {
			_ = p.Close()
			return nil, err
		}
		p.byFamily[family] = &middleware{next: provider, strategy: cfg.Strategy, family: family, metrics: d.Metrics}
		p.strategies[family] = cfg.Strategy
	}
	return p, nil
}

// writable tells why Redis cannot be written to. A Redis that is out of memory or that cannot save still answers PING.
func writable(ctx context.Context, client redis.UniversalClient) error {
	return client.Set(ctx, "holdfast:writable", 1, time.Millisecond).Err()
}

// withFailover puts a circuit, and the fallback where there is one, before a strategy that needs Redis.
func (p *Providers) withFailover(f Family, cfg FamilyConfig, info Info, primary Provider) (Provider, error) {
	if !info.Needs.Redis || p.deps.Deployment == nil {
		return primary, nil
	}
	var fallback Provider
	if cfg.Fallback != "" {
		second, ok := Lookup(cfg.Fallback)
		if !ok || !second.Fallback() || !second.Needs.Allow(p.deps.Ledger.Dialect()) {
			return nil, fmt.Errorf("family %s: %q is no fallback: it must work without Redis, on this database", f, cfg.Fallback)
		}
		d := p.deps
		d.Settings = cfg.Settings
		var err error
		if fallback, err = second.provider(d); err != nil {
			return nil, fmt.Errorf("family %s: %w", f, err)
		}
	}
	beginEpoch := func(ctx context.Context, epoch int64) error {
		if b, ok := primary.(beginner); ok {
			if err := p.endEpochs(ctx, f, epoch); err != nil {
				return err
			}
			b.BeginEpoch(epoch)
		}
		return nil
	}
	fo := newFailover(f, primary, fallback, p.deps.Deployment, p.deps.Epochs[f],
		func(ctx context.Context) error { return writable(ctx, p.deps.Redis) }, beginEpoch, p.deps.Failover, p.deps.Log)
	fo.fallbackName, fo.ledger = cfg.Fallback, p.deps.Ledger
	if q, ok := primary.(*queue); ok {
		q.follow = fo.follow
	}
	return fo, nil
}

// PersistWith sets who writes in this process what a write-behind store has admitted into the database: persister is
// called once for each store, now. It must be called before changes are served. Without it, other processes persist.
func (p *Providers) PersistWith(persister func(*redisfirst.Store, *redisfirst.Confirmations) Persister) {
	p.persister = persister
	for _, f := range Families {
		if l, ok := As[*lua](p.byFamily[f]); ok {
			l.persister = persister(l.Store, l.confirmations)
		}
	}
}

// Run does what the strategies need in the background, until ctx ends: it persists what write-behind stores have admitted,
// serves queues, and follows which strategy is active for the families that have a fallback. It returns when all of that
// has ended.
func (p *Providers) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, f := range Families {
		provider := p.byFamily[f]
		for provider != nil {
			if r, ok := provider.(runner); ok {
				running.Go(func() { r.Run(ctx) })
			}
			wrapper, ok := provider.(interface{ Unwrap() Provider })
			if !ok {
				break
			}
			provider = wrapper.Unwrap()
		}
	}
	running.Wait()
}

// For returns the provider of a family.
func (p *Providers) For(f Family) Provider { return p.byFamily[f] }

// Strategies tells which strategy serves which family.
func (p *Providers) Strategies() map[Family]Strategy { return maps.Clone(p.strategies) }

// OnServed has f called with each change that a worker of this process takes from a queue and applies, after its callers have
// been told. A change may be told twice, and after a crash not at all. f must not wait.
func (p *Providers) OnServed(f func(Change)) { p.served.Store(&f) }

// OnReconnect has f called, and not waited for, whenever Redis is back after it was away.
func (p *Providers) OnReconnect(f func()) {
	if p.handoff != nil {
		p.handoff.OnReconnect(f)
	}
}

// lockPrefixes begin the keys of locks: those that guard balances, and those of the workers of queues.
var lockPrefixes = []string{"lock:", "exclusive:"}

// HeldLock is a lock in Redis that somebody holds or waits for, as it was at one moment.
type HeldLock = lock.Held

// Locks finds the locks in Redis, at most limit of them, by key. It goes through all keys of Redis in small steps: it
// is for people who look for what is stuck.
func (p *Providers) Locks(ctx context.Context, limit int) ([]HeldLock, error) {
	if p.deps.Redis == nil {
		return nil, nil
	}
	var locks []HeldLock
	for _, inspect := range []func(context.Context, redis.UniversalClient, string, int) ([]HeldLock, error){
		handoff.Inspect, lock.Inspect,
	} {
		for _, prefix := range lockPrefixes {
			if len(locks) >= limit {
				break
			}
			found, err := inspect(ctx, p.deps.Redis, prefix, limit-len(locks))
			if err != nil {
				return nil, lockError(err)
			}
			locks = append(locks, found...)
		}
	}
	slices.SortFunc(locks, func(a, b HeldLock) int { return cmp.Compare(a.Key, b.Key) })
	return locks, nil
}

// workerLock are the bounds of the lock that makes one instance do what one should: a dead one is replaced within the lease.
var workerLock = lock.Settings{Wait: 30 * time.Second, Lease: 3 * time.Second, Poll: 300 * time.Millisecond}

// drainLock are those of an instance that looks, between one wait and the next, whether there is anything left to do.
var drainLock = lock.Settings{Wait: 300 * time.Millisecond, Lease: 3 * time.Second, Poll: 100 * time.Millisecond}

// Close frees what the providers share. Locks that are still held are freed by their holders.
func (p *Providers) Close() error {
	var errs []error
	if p.handoff != nil {
		errs = append(errs, p.handoff.Close())
	}
	if p.confirmations != nil {
		errs = append(errs, p.confirmations.Close())
	}
	return errors.Join(errs...)
}

func names() string {
	list := make([]string, 0, len(Strategies))
	for _, s := range Names() {
		list = append(list, string(s))
	}
	return strings.Join(list, ", ")
}

// middleware is what all strategies have in common. It refuses a change that is malformed or of another family, counts the
// outcome, and names the strategy in the receipt of an error.
type middleware struct {
	next     Provider
	strategy Strategy
	family   Family
	metrics  *Metrics
}

// Unwrap lets [As] find what the strategy can do.
func (m *middleware) Unwrap() Provider { return m.next }

// check refuses a change that is malformed or of another family.
func (m *middleware) check(c Change) (Change, error) {
	c, err := normalize(c)
	if err != nil {
		return c, err
	}
	if c.Family != m.family {
		return c, fmt.Errorf("%w: family %s sent to the provider of %s", ErrInvalidChange, c.Family, m.family)
	}
	if len(c.Moves) == 0 {
		return c, fmt.Errorf("%w: no moves", ErrInvalidChange)
	}
	return c, nil
}

func (m *middleware) Execute(ctx context.Context, c Change) (Receipt, error) {
	c, err := m.check(c)
	if err != nil {
		return Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	began := time.Now()
	receipt, err := m.next.Execute(ctx, c)
	m.metrics.outcome(m.strategy, m.family, receipt, err, time.Since(began))
	if err != nil {
		return Receipt{Strategy: m.strategy, Attempts: receipt.Attempts, Waited: receipt.Waited}, err
	}
	return receipt, nil
}
