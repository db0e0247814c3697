package schedulers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/lockprovider"
	"holdfast/lockprovider/redisfirst"
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
	var unreadable error
	for last := ""; ; {
		keys, err := j.client.Balance.Query().Where(balance.Family(string(family)), balance.IDGT(last)).
			Order(balance.ByID()).Limit(j.page).IDs(ctx)
		if err != nil || len(keys) == 0 {
			return errors.Join(unreadable, err)
		}
		last = keys[len(keys)-1]
		keys = slices.DeleteFunc(keys, lockprovider.Transient)
		result["balances"] += int64(len(keys))
		if err := j.create(ctx, r, keys, result); errors.Is(err, redisfirst.ErrUnreadable) && !errors.Is(err, lockprovider.ErrUnavailable) {
			unreadable = errors.Join(unreadable, err) // it says nothing about the others
		} else if err != nil {
			return errors.Join(unreadable, err)
		}
	}
}

func (j *prime) create(ctx context.Context, r lockprovider.Reconciler, keys []string, result Result) error {
	there, unreadable := r.Levels(ctx, keys)
	if unreadable != nil && !errors.Is(unreadable, redisfirst.ErrUnreadable) {
		return unreadable
	}
	lacking := slices.DeleteFunc(keys, func(key string) bool { _, ok := there[key]; return ok })
	if len(lacking) == 0 {
		return unreadable
	}
	created, inFlight, err := r.Prime(ctx, lacking, func(ctx context.Context, balances []string) (map[string]lockprovider.Level, error) {
		moves := make([]lockprovider.Move, len(balances))
		for i, key := range balances {
			moves[i].Balance = key
		}
		return j.ledger.Levels(ctx, moves)
	})
	result["created"] += int64(created)
	result["inFlight"] += int64(inFlight)
	return errors.Join(unreadable, err)
}
