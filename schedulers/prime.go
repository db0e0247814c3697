package schedulers

import (
	"context"
	"errors"
	"fmt"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/lockprovider"
)

// prime creates the balances that Redis lacks from the database, so that the first customers after a loss of Redis need not
// wait. It leaves out balances with changes in flight, since the database does not have these changes yet.
type prime struct {
	client    *ent.Client
	ledger    *lockprovider.Ledger
	providers *lockprovider.Providers
	page      int
}

func (j *prime) runOnce(ctx context.Context) (Result, error) {
	result := Result{"balances": 0, "created": 0, "inFlight": 0}
	var errs []error
	for family, r := range reconcilers(j.providers) {
		if err := j.family(ctx, family, r, result); err != nil {
			errs = append(errs, fmt.Errorf("prime %s: %w", family, err))
		}
	}
	return result, errors.Join(errs...)
}

func (j *prime) family(ctx context.Context, family lockprovider.Family, r lockprovider.Reconciler, result Result) error {
	if active, err := r.Active(ctx); err != nil || !active {
		return err // the next epoch begins without any balance
	}
	for last := ""; ; {
		keys, err := j.client.Balance.Query().Where(balance.Family(string(family)), balance.IDGT(last)).
			Order(balance.ByID()).Limit(j.page).IDs(ctx)
		if err != nil || len(keys) == 0 {
			return err
		}
		result["balances"] += int64(len(keys))
		if err := j.create(ctx, r, keys, result); err != nil {
			return err
		}
		last = keys[len(keys)-1]
	}
}

func (j *prime) create(ctx context.Context, r lockprovider.Reconciler, keys []string, result Result) error {
	there, err := r.Levels(ctx, keys)
	if err != nil {
		return err
	}
	var lacking []lockprovider.Move
	for _, key := range keys {
		if _, ok := there[key]; !ok {
			lacking = append(lacking, lockprovider.Move{Balance: key})
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	levels, err := j.ledger.Levels(ctx, lacking) // now, not when the page was read
	if err != nil {
		return err
	}
	created, inFlight, err := r.Prime(ctx, levels)
	result["created"] += int64(created)
	result["inFlight"] += int64(inFlight)
	return err
}
