package audit

import (
	"context"
	"fmt"
	"time"

	"holdfast/clients"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/order"
	"holdfast/lockprovider"
	"holdfast/lockprovider/lock"
	"holdfast/lockprovider/redisfirst"
)

const (
	// settleTimeout bounds how long after the end of a load orders that have ended may take to give everything back, and changes that Redis
	// has admitted to be in the database.
	settleTimeout = 30 * time.Second
	settlePoll    = 5 * time.Millisecond
	// salesPoll is how often sales are added up while events are on their way.
	salesPoll = 100 * time.Millisecond
	// comparePage is how many balances are read from Redis at a time.
	comparePage = 500
)

// Settled waits until nothing is owed to an order that has ended, such as the refund of one that was cancelled while it was paid. What is
// still owed after 30 seconds is for the audit to find. The servers must still run: they go on giving back, so the stores are compared afterwards.
func Settled(ctx context.Context, db *ent.Client) error {
	bounded, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		owed, err := db.Order.Query().Where(order.Settled(false), order.StatusNEQ(order.StatusPENDING)).Exist(ctx)
		if err != nil || !owed {
			return err
		}
		if lock.Pause(bounded, settlePoll) != nil {
			return ctx.Err()
		}
	}
}

// CompareStores waits until Redis holds no change that the database lacks, and then compares the balances of the two. It
// looks only at families whose strategy keeps balances in Redis. The servers must still run, and
// no client may send them requests. Changes that are still missing after 30 seconds are a finding, not an error.
func CompareStores(ctx context.Context, db *ent.Client, redis *clients.Redis) ([]Finding, error) {
	name, err := lockprovider.DatabaseName(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("compare the stores: %w", err)
	}
	var findings []Finding
	for _, family := range lockprovider.Families {
		row, err := db.FamilyStrategy.Get(ctx, string(family))
		if ent.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("compare the stores: %w", err)
		}
		if info, _ := lockprovider.Lookup(lockprovider.Strategy(row.Strategy)); !info.BalancesInRedis || row.Fallback {
			continue
		}
		store := redisfirst.NewStore(redis.Client, family, row.Epoch, "experiment", redisfirst.StoreSettings{Database: name})
		left, err := drained(ctx, store)
		if err != nil {
			return nil, fmt.Errorf("compare the stores: %w", err)
		}
		if left > 0 {
			findings = append(findings, Finding{Stuck, string(family), fmt.Sprintf(
				"%d changes that Redis had admitted were not in the database after %s", left, settleTimeout), left})
			continue
		}
		different, err := compareFamily(ctx, db, store)
		if err != nil {
			return nil, fmt.Errorf("compare the stores: %w", err)
		}
		findings = append(findings, different...)
	}
	return findings, nil
}

// drained waits for an empty stream, and returns how many changes are left in it.
func drained(ctx context.Context, store *redisfirst.Store) (int64, error) {
	deadline := time.NewTimer(settleTimeout)
	defer deadline.Stop()
	for {
		left, err := store.Backlog(ctx)
		if err != nil {
			return 0, err
		}
		inFlight, err := store.InFlight(ctx)
		if err != nil || left == 0 && len(inFlight) == 0 {
			return 0, err
		}
		select {
		case <-deadline.C:
			return max(left, 1), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(settlePoll):
		}
	}
}

func compareFamily(ctx context.Context, db *ent.Client, store *redisfirst.Store) ([]Finding, error) {
	var findings []Finding
	for last := ""; ; {
		rows, err := db.Balance.Query().Where(balance.Family(string(store.Family())), balance.IDGT(last)).
			Order(balance.ByID()).Limit(comparePage).All(ctx)
		if err != nil || len(rows) == 0 {
			return findings, err
		}
		keys := make([]string, len(rows))
		for i, row := range rows {
			keys[i] = row.ID
		}
		levels, err := store.Levels(ctx, keys)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			level, held := levels[row.ID] // Redis holds only what it was asked for
			if held && (level.Amount != row.Amount || level.Seq != row.Applied) {
				findings = append(findings, Finding{Drift, row.ID, fmt.Sprintf("redis says %d after %d moves, the database %d after %d",
					level.Amount, level.Seq, row.Amount, row.Applied), max(level.Amount-row.Amount, row.Amount-level.Amount)})
			}
		}
		last = rows[len(rows)-1].ID
	}
}
