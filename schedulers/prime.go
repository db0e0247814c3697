package schedulers

import (
	"context"
	"errors"
	"fmt"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/lockprovider"
)

// prime creates balances that Redis lacks from what the database says, so that the first customers after a loss of Redis need
// not wait for that. Balances of which changes are in flight are left alone: the database does not know those yet.
type prime struct {
	client     *ent.Client
	ledger     *lockprovider.Ledger
	admissions func() map[lockprovider.Family]*lockprovider.Admission
	page       int
}

func (j *prime) runOnce(ctx context.Context) (Result, error) {
	result := Result{"balances": 0, "created": 0, "inFlight": 0}
	var errs []error
	for family, admission := range j.admissions() {
		if err := j.family(ctx, admission, result); err != nil {
			errs = append(errs, fmt.Errorf("prime %s: %w", family, err))
		}
	}
	return result, errors.Join(errs...)
}

func (j *prime) family(ctx context.Context, a *lockprovider.Admission, result Result) error {
	if err := a.InForce(ctx, j.client); errors.Is(err, lockprovider.ErrNotInForce) {
		return nil // the epoch that comes next begins with nothing
	} else if err != nil {
		return err
	}
	for last := ""; ; {
		keys, err := j.client.Balance.Query().Where(balance.Family(string(a.Family())), balance.IDGT(last)).
			Order(balance.ByID()).Limit(j.page).IDs(ctx)
		if err != nil || len(keys) == 0 {
			return err
		}
		result["balances"] += int64(len(keys))
		if err := j.create(ctx, a, keys, result); err != nil {
			return err
		}
		last = keys[len(keys)-1]
	}
}

func (j *prime) create(ctx context.Context, a *lockprovider.Admission, keys []string, result Result) error {
	there, err := a.Levels(ctx, keys)
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
	created, inFlight, err := a.Prime(ctx, levels)
	result["created"] += int64(created)
	result["inFlight"] += int64(inFlight)
	return err
}
