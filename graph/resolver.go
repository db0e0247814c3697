// Package graph is the GraphQL API: the schema in *.graphqls, thin resolvers that parse, call a service of commerce and
// map its answer, and the HTTP handler around them.
package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/payment"
	"holdfast/events"
	"holdfast/graph/model"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// Resolver is the root of all resolvers.
type Resolver struct {
	operations    Operations
	services      *commerce.Services
	strategies    map[lockprovider.Family]lockprovider.Strategy
	introspection bool
	live          *events.Live
	streams       transport.Streams
	logger        *slog.Logger
}

// authDirective is @auth: it runs before the field's resolver.
func authDirective(ctx context.Context, _ any, next graphql.Resolver, role model.Role) (any, error) {
	switch v := auth.Viewer(ctx); {
	case v.UserID == "":
		return nil, commerce.ErrUnauthenticated
	case role == model.RoleAdmin && !v.Admin:
		return nil, commerce.ErrForbidden
	}
	return next(ctx)
}

// touched is what an operation on an order has changed beside the order and its stock.
type touched struct {
	wallet      *model.Wallet
	account     *model.Account
	couponIssue *model.CouponIssue
}

func (r *Resolver) touchedBy(ctx context.Context, o *ent.Order) (t touched, err error) {
	if o == nil {
		return t, nil
	}
	v := auth.Viewer(ctx)
	if paid := o.Edges.Payment; paid != nil {
		switch {
		case paid.Method == payment.MethodPOINTS && o.UserID == v.UserID: // wallets are shown to their owners alone
			t.wallet = toWallet(v)
		case paid.Method == payment.MethodACCOUNT && paid.AccountID != nil:
			row, err := r.services.Accounts.Get(ctx, v, *paid.AccountID)
			if err != nil {
				return t, err
			}
			t.account = toAccount(row)
		}
	}
	if o.CouponIssueID != nil {
		row, err := r.services.Coupons.GetIssue(ctx, v, *o.CouponIssueID)
		if err != nil {
			return t, err
		}
		t.couponIssue = toCouponIssue(row)
	}
	return t, nil
}

// paymentFamily is the family whose strategy serves a payment. A card moves no balance; its order is one of stock.
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
