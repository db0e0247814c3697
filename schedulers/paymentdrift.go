package schedulers

import (
	"context"
	"log/slog"

	"holdfast/commerce"
)

// paymentDrift compares the payments of each day with those of the payment gateway, once the day has ended, and compares again what differs; see
// commerce.PaymentDrifts. A run that is cut off has noted how far it has come.
type paymentDrift struct {
	drifts  *commerce.PaymentDrifts
	page    int
	metrics *Metrics
	log     *slog.Logger
}

func (j *paymentDrift) runOnce(ctx context.Context) (Result, error) {
	result := Result{"compared": 0, "differences": 0, "settled": 0}
	for last := int64(0); ; {
		next, done, err := j.drifts.Recheck(ctx, last, j.page)
		j.note(ctx, done, result)
		if err != nil {
			return result, err
		}
		if last = next; last == 0 {
			break
		}
	}
	for {
		done, err := j.drifts.Step(ctx, j.page)
		j.note(ctx, done, result)
		if err != nil || !done.More {
			return result, err
		}
	}
}

// note counts what a step has done, and tells of each difference that was not known.
func (j *paymentDrift) note(ctx context.Context, done commerce.DriftStep, result Result) {
	result["compared"] += int64(done.Compared)
	result["differences"] += int64(len(done.Found))
	result["settled"] += int64(done.Settled)
	for _, d := range done.Found {
		j.metrics.paymentDrifts.WithLabelValues(string(d.Kind)).Inc()
		j.log.WarnContext(ctx, "the payment gateway and the shop differ", "kind", d.Kind, "subject", d.Subject, "reference", d.Reference,
			"shop", d.ShopMinor, "gateway", d.GatewayMinor, "currency", d.Currency)
	}
}
