package graph

import (
	"context"

	"holdfast/auth"
	"holdfast/ent"
	"holdfast/ent/payment"
	"holdfast/graph/model"
	"holdfast/lockprovider"
)

// effects are what a mutation of an order has changed besides the order and its stock. What it has
// not changed is nil.
type effects struct {
	wallet      *model.Wallet
	account     *model.Account
	couponIssue *model.CouponIssue
}

// orderEffects prepares the payload of a mutation of an order from the order, which may be nil, and
// the mutation's error. It returns business failures as data. Any other error fails the field.
func (r *Resolver) orderEffects(ctx context.Context, o *ent.Order, failed error) (effects, []model.UserError, error) {
	userErrors, err := r.userErrors(ctx, failed)
	if err != nil {
		return effects{}, nil, err
	}
	also, err := r.effectsOf(ctx, o)
	return also, userErrors, err
}

// effectsOf looks up what an order has changed. It returns nothing for a nil order.
func (r *Resolver) effectsOf(ctx context.Context, o *ent.Order) (e effects, err error) {
	if o == nil {
		return e, nil
	}
	v := auth.Viewer(ctx)
	if paid := o.Edges.Payment; paid != nil {
		switch {
		case paid.Method == payment.MethodPOINTS && o.UserID == v.UserID: // a wallet is shown to its owner only
			e.wallet = toWallet(v.UserID)
		case paid.Method == payment.MethodACCOUNT && paid.AccountID != nil:
			row, err := r.services.Accounts.Get(ctx, v, *paid.AccountID)
			if err != nil {
				return e, err
			}
			e.account = toAccount(row)
		}
	}
	if o.CouponIssueID != nil {
		row, err := r.services.Coupons.GetIssue(ctx, v, *o.CouponIssueID)
		if err != nil {
			return e, err
		}
		e.couponIssue = toCouponIssue(row)
	}
	return e, nil
}

// paymentFamily is the family whose strategy serves a payment. A card moves no balance; its order
// is one of stock.
func paymentFamily(method model.PaymentMethod) lockprovider.Family {
	switch method {
	case model.PaymentMethodPoints:
		return lockprovider.Points
	case model.PaymentMethodAccount:
		return lockprovider.Accounts
	default:
		return lockprovider.Stock
	}
}
