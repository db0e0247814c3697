package schedulers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/cart"
	"holdfast/ent/changelog"
	"holdfast/ent/driftreport"
	"holdfast/ent/hold"
	"holdfast/ent/instance"
	"holdfast/ent/limitdrift"
	"holdfast/ent/operation"
	"holdfast/ent/paymentdrift"
	"holdfast/ent/predicate"
	"holdfast/ent/processedevent"
	"holdfast/ent/schedulerrun"
	"holdfast/ent/webhookevent"
	"holdfast/lockprovider"
)

// retention deletes rows that are not needed any more, in batches. It keeps the journal, which proves every balance.
//
// No single row can hold up the others: nothing refers to these tables, so that each row can be deleted.
type retention struct {
	client    *ent.Client
	providers *lockprovider.Providers
	settings  Settings
	now       func() time.Time
}

func (j *retention) runOnce(ctx context.Context) (Result, error) {
	result := Result{}
	var errs []error
	type kind struct {
		name   string
		delete func(ctx context.Context) (int, error) // one batch
	}
	left := []kind{
		{"operations", j.operations},
		{"changes", j.changes},
		{"events", j.events},
		{"webhooks", j.webhooks},
		{"runs", j.runs},
		{"drifts", j.drifts},
		{"paymentDrifts", j.paymentDrifts},
		{"limitDrifts", j.limitDrifts},
		{"instances", j.instances},
		{"carts", j.carts},
		{"guestCarts", j.guestCarts},
		{"holds", j.holds},
	}
	for len(left) > 0 { // a batch of each in turn, so that of no kind there are so many that the run ends before the next one
		left = slices.DeleteFunc(left, func(k kind) bool {
			n, err := k.delete(ctx)
			result[k.name] += int64(n)
			if err != nil {
				errs = append(errs, fmt.Errorf("delete old %s: %w", k.name, err))
			}
			return err != nil || n < j.settings.DeleteBatch
		})
	}
	for family, r := range reconcilers(j.providers) {
		n, err := r.DismissIdle(ctx, j.settings.KeepInstances)
		result["consumers"] += int64(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("dismiss idle consumers of %s: %w", family, err))
		}
	}
	return result, errors.Join(errs...)
}

// batch deletes the rows that find returns. Each batch is a transaction of its own, so that no request waits for a long one.
func batch[ID any](
	ctx context.Context, find func(context.Context) ([]ID, error), remove func(context.Context, []ID) (int, error),
) (int, error) {
	ids, err := find(ctx)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return remove(ctx, ids)
}

// before returns the time before which rows are deleted.
func (j *retention) before(keep time.Duration) time.Time { return j.now().Add(-keep) }

// changes deletes rows of the change log. A repeat of a request gets the first result while the row is
// there, and a row that is not published yet is part of the outbox.
func (j *retention) changes(ctx context.Context) (int, error) {
	old := j.client.ChangeLog.Query().
		Where(changelog.CreatedAtLT(j.before(j.settings.Remember)), changelog.PublishedAtNotNil())
	return batch(ctx, old.Order(changelog.ByCreatedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []int64) (int, error) {
			return j.client.ChangeLog.Delete().Where(changelog.IDIn(ids...)).Exec(ctx)
		})
}

// operations deletes the keys of mutations that are no single change, for which the same holds.
func (j *retention) operations(ctx context.Context) (int, error) {
	old := j.client.Operation.Query().Where(operation.CreatedAtLT(j.before(j.settings.Remember)))
	return batch(ctx, old.Order(operation.ByCreatedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []uuid.UUID) (int, error) {
			return j.client.Operation.Delete().Where(operation.IDIn(ids...)).Exec(ctx)
		})
}

func (j *retention) events(ctx context.Context) (int, error) {
	old := j.client.ProcessedEvent.Query().Where(processedevent.ProcessedAtLT(j.before(j.settings.KeepEvents)))
	return batch(ctx, old.Order(processedevent.ByProcessedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []string) (int, error) {
			return j.client.ProcessedEvent.Delete().Where(processedevent.IDIn(ids...)).Exec(ctx)
		})
}

// webhooks deletes the messages of gateways that were received, which repeat none that is so old.
func (j *retention) webhooks(ctx context.Context) (int, error) {
	old := j.client.WebhookEvent.Query().Where(webhookevent.ReceivedAtLT(j.before(j.settings.KeepWebhooks)))
	return batch(ctx, old.Order(webhookevent.ByReceivedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []string) (int, error) {
			return j.client.WebhookEvent.Delete().Where(webhookevent.IDIn(ids...)).Exec(ctx)
		})
}

func (j *retention) runs(ctx context.Context) (int, error) {
	old := j.client.SchedulerRun.Query().Where(schedulerrun.StartedAtLT(j.before(j.settings.KeepHistory)))
	return batch(ctx, old.Order(schedulerrun.ByStartedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []int64) (int, error) {
			return j.client.SchedulerRun.Delete().Where(schedulerrun.IDIn(ids...)).Exec(ctx)
		})
}

func (j *retention) drifts(ctx context.Context) (int, error) {
	old := j.client.DriftReport.Query().
		Where(driftreport.SeenAtLT(j.before(j.settings.KeepHistory)), driftreport.Repaired(true))
	return batch(ctx, old.Order(driftreport.BySeenAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []int64) (int, error) {
			return j.client.DriftReport.Delete().Where(driftreport.IDIn(ids...)).Exec(ctx)
		})
}

// paymentDrifts deletes differences that are settled.
func (j *retention) paymentDrifts(ctx context.Context) (int, error) {
	old := j.client.PaymentDrift.Query().
		Where(paymentdrift.SeenAtLT(j.before(j.settings.KeepHistory)), paymentdrift.Settled(true))
	return batch(ctx, old.Order(paymentdrift.BySeenAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []int64) (int, error) {
			return j.client.PaymentDrift.Delete().Where(paymentdrift.IDIn(ids...)).Exec(ctx)
		})
}

// limitDrifts deletes reports of balances that are corrected.
func (j *retention) limitDrifts(ctx context.Context) (int, error) {
	old := j.client.LimitDrift.Query().
		Where(limitdrift.SeenAtLT(j.before(j.settings.KeepHistory)), limitdrift.Corrected(true))
	return batch(ctx, old.Order(limitdrift.BySeenAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []int64) (int, error) {
			return j.client.LimitDrift.Delete().Where(limitdrift.IDIn(ids...)).Exec(ctx)
		})
}

// carts deletes those that nobody has touched, unless somebody touches one meanwhile. Their orders stay.
func (j *retention) carts(ctx context.Context) (int, error) {
	return j.untouchedCarts(ctx, cart.UpdatedAtLT(j.before(j.settings.KeepCarts)))
}

// guestCarts deletes those that belong to nobody earlier.
func (j *retention) guestCarts(ctx context.Context) (int, error) {
	return j.untouchedCarts(ctx, cart.And(cart.UpdatedAtLT(j.before(j.settings.KeepGuestCarts)), cart.UserIDIsNil()))
}

func (j *retention) untouchedCarts(ctx context.Context, untouched predicate.Cart) (int, error) {
	return batch(ctx, j.client.Cart.Query().Where(untouched).Order(cart.ByUpdatedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []string) (int, error) {
			return j.client.Cart.Delete().Where(cart.IDIn(ids...), untouched).Exec(ctx)
		})
}

// holds deletes those that have ended, with their lines. Their orders stay.
func (j *retention) holds(ctx context.Context) (int, error) {
	ended := hold.StatusIn(hold.StatusCONSUMED, hold.StatusRELEASED, hold.StatusEXPIRED) // by which an index finds them
	old := j.client.Hold.Query().Where(ended, hold.UpdatedAtLT(j.before(j.settings.KeepHolds)))
	return batch(ctx, old.Order(hold.ByUpdatedAt()).Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []string) (int, error) {
			return j.client.Hold.Delete().Where(hold.IDIn(ids...)).Exec(ctx)
		})
}

// instances deletes the rows of instances that died. An instance that lives, but could not renew its heartbeat, goes on
// without its row.
func (j *retention) instances(ctx context.Context) (int, error) {
	old := j.client.Instance.Query().Where(instance.HeartbeatAtLT(j.before(j.settings.KeepInstances)))
	return batch(ctx, old.Limit(j.settings.DeleteBatch).IDs,
		func(ctx context.Context, ids []string) (int, error) {
			return j.client.Instance.Delete().Where(instance.IDIn(ids...)).Exec(ctx)
		})
}
