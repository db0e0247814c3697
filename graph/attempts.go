package graph

import (
	"context"

	"holdfast/auth"
	"holdfast/ent"
	"holdfast/ent/paymentattempt"
	"holdfast/graph/model"
	"holdfast/payments"
)

func toPaymentAttempt(a *ent.PaymentAttempt) *model.PaymentAttempt {
	if a == nil {
		return nil
	}
	attempt := &model.PaymentAttempt{
		ID: a.ID, Status: model.PaymentAttemptStatus(a.Status), Amount: money(a.AmountMinor, a.Currency), CreatedAt: a.CreatedAt,
		Reason: orNull(a.Reason),
	}
	if a.Status == paymentattempt.StatusREQUIRES_ACTION && (a.ClientSecret != "" || a.RedirectURL != "") {
		attempt.Action = &model.PaymentAction{ClientSecret: orNull(a.ClientSecret), RedirectURL: orNull(a.RedirectURL)}
	}
	return attempt
}

func toPaymentAttempts(rows []*ent.PaymentAttempt) []*model.PaymentAttempt {
	list := make([]*model.PaymentAttempt, len(rows))
	for i, a := range rows {
		list[i] = toPaymentAttempt(a)
	}
	return list
}

// attemptFor returns the attempt that a request to pay an order by card is about: the one that may still pay it, or the newest. It
// returns nil if the request asked for no payment by card.
func (r *Resolver) attemptFor(ctx context.Context, o *ent.Order, pay *model.PaymentInput) (*model.PaymentAttempt, error) {
	if o == nil || pay == nil || pay.Method != model.PaymentMethodCard {
		return nil, nil
	}
	list, err := r.services.Orders.Attempts(ctx, auth.Viewer(ctx), []string{o.ID})
	for _, a := range list[o.ID] {
		if payments.Status(a.Status).Pays() {
			return toPaymentAttempt(a), err
		}
	}
	if len(list[o.ID]) > 0 {
		return toPaymentAttempt(list[o.ID][0]), err
	}
	return nil, err
}
