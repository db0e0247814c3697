package app

import (
	"testing"
	"time"

	"holdfast/config"
	"holdfast/events"
	"holdfast/lockprovider"
)

// TestSettings: what is configured is what runs.
func TestSettings(t *testing.T) {
	cfg := config.Default()
	wantEqual(t, "failover by default", failover(cfg), lockprovider.DefaultFailoverSettings())
	wantEqual(t, "persister by default", persister(cfg), events.DefaultPersisterSettings())
	relay, byDefault := broker(cfg), events.DefaultSettings()
	wantEqual(t, "poll by default", relay.Poll, byDefault.Poll)
	wantEqual(t, "batch by default", relay.Batch, byDefault.Batch)

	cfg.Failover = config.Failover{Failures: 1, Retry: 2 * time.Second, Watch: 3 * time.Second, Healthy: 4}
	wantEqual(t, "failover", failover(cfg), lockprovider.FailoverSettings{
		Failures: 1, Retry: 2 * time.Second, Watch: 3 * time.Second, Healthy: 4,
	})
	cfg.Pipeline.Batch, cfg.Pipeline.Block, cfg.Pipeline.ClaimIdle = 5, 6*time.Second, 7*time.Second
	want := events.DefaultPersisterSettings()
	want.Batch, want.Block, want.ClaimIdle = 5, 6*time.Second, 7*time.Second
	wantEqual(t, "persister", persister(cfg), want)
	cfg.Broker.Poll, cfg.Broker.Batch = 8*time.Second, 9
	relay = broker(cfg)
	wantEqual(t, "poll", relay.Poll, cfg.Broker.Poll)
	wantEqual(t, "batch", relay.Batch, cfg.Broker.Batch)
}
