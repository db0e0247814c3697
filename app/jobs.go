package app

import (
	"context"
	"sync"

	"holdfast/events"
	"holdfast/schedulers"
)

// StartJobs runs the jobs until the shop is closed: reconciliation, expiry, retention, the search index. They are
// also run when Redis is back after an outage. Until then, too, this instance keeps up with the search documents, and ends holds at
// their deadlines.
func (s *Shop) StartJobs(ctx context.Context) (*schedulers.Runner, error) {
	runner, err := schedulers.New(schedulers.Deps{
		Client: s.DB.Ent, Ledger: s.Ledger, Providers: s.Providers, Orders: s.Services.Orders, Holds: s.Services.Holds, Attempts: s.Services.Attempts, Refunds: s.Services.Refunds, Drifts: s.Services.Drifts, Limits: s.Services.LimitDrifts, Catalog: s.Services.Catalog,
		Instance: s.Deployment.Instance(), Settings: jobs(s.cfg), Metrics: schedulers.NewMetrics(s.registerer()), Log: s.log,
		Now: s.Clock.Now,
	})
	if err != nil {
		return nil, err
	}
	s.closers.add("schedulers", func() error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.HTTP.ShutdownTimeout)
		defer cancel()
		return runner.Stop(stopping)
	})
	runner.Start()
	s.followSearchDocuments(ctx)
	s.closers.add("holds", events.Background(ctx, func(ctx context.Context) { s.Services.Holds.Run(ctx, s.log) }))
	s.Providers.OnReconnect(redisIsBack(runner, s.log))
	return runner, nil
}

// followSearchDocuments has this instance read search documents before they are searched.
func (s *Shop) followSearchDocuments(ctx context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	following.Go(func() { s.Services.Catalog.FollowSearchDocuments(ctx, s.log) })
	s.closers.add("search documents", func() error {
		stop()
		following.Wait()
		return nil
	})
}
