package graph

import (
	"context"
	"errors"
	"strings"

	"holdfast/commerce"
	"holdfast/graph/model"
)

// finder looks up one type of object. It returns nil, not an error, for what is unknown or somebody else's.
type finder func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error)

// finders are the types of objects by the prefix of their identifiers.
var finders = map[string]finder{
	"prod_": func(ctx context.Context, s *commerce.Services, _ commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Catalog.Product(ctx, id)
		return found(toProduct(row), err)
	},
	"coup_": func(ctx context.Context, s *commerce.Services, _ commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Coupons.Get(ctx, id)
		return found(toCoupon(row), err)
	},
	"cpi_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Coupons.GetIssue(ctx, v, id)
		return found(toCouponIssue(row), err)
	},
	prefixOrder: func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, persistence, err := s.Orders.Find(ctx, v, id)
		return found(toOrderAs(row, persistence), err)
	},
	prefixPayment: findPayment,
	"qt_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		return found(findTicket(ctx, s, v, id))
	},
	"acct_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Accounts.Get(ctx, v, id)
		return found(toAccount(row), err)
	},
	"tr_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Accounts.GetTransfer(ctx, v, id)
		return found(toTransfer(row), err)
	},
	prefixEntry: func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Accounts.Entry(ctx, v, strings.TrimPrefix(id, prefixEntry))
		if row != nil && toEntry(row).ID != id { // "entry_007" is another spelling, and one object has one identifier
			row = nil
		}
		return found(toEntry(row), err)
	},
	prefixCustomer: func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		if id != prefixCustomer+v.UserID {
			return nil, nil
		}
		row, err := s.Customers.Get(ctx, v)
		return found(toCustomer(row), err)
	},
	prefixWallet: func(_ context.Context, _ *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		if v.UserID == "" || id != prefixWallet+v.UserID {
			return nil, nil
		}
		return toWallet(v), nil
	},
}

const (
	prefixOrder   = "ord_"
	prefixPayment = "pay_"
)

// findPayment goes by the order: a payment has no other owner, and shares what follows its prefix.
func findPayment(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
	row, err := s.Orders.Get(ctx, v, prefixOrder+strings.TrimPrefix(id, prefixPayment))
	if err != nil || row == nil || row.Edges.Payment == nil || row.Edges.Payment.ID != id {
		return nil, err
	}
	return toPayment(row.Edges.Payment), nil
}

// findTicket maps the refusal of a ticket's order into the ticket; a ticket that is not the caller's is none.
func findTicket(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (*model.QueueTicket, error) {
	result, err := s.Orders.Ticket(ctx, v, id)
	refused, isRefused := commerce.UserErrors(err)
	if err != nil && (!isRefused || refused[0].Retryable) {
		return nil, err
	}
	return toTicket(result, each(refused, toUserError)), nil
}

// found keeps a nil pointer from becoming an interface that is not nil.
func found[T any, P interface {
	*T
	model.Node
}](object P, err error) (model.Node, error) {
	if err != nil || object == nil {
		return nil, err
	}
	return object, nil
}

func findNode(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
	prefix, _, ok := strings.Cut(id, "_")
	find := finders[prefix+"_"]
	if !ok || find == nil {
		return nil, nil
	}
	object, err := find(ctx, s, v, id)
	if errors.Is(err, commerce.ErrUnauthenticated) { // somebody else's, as everything is to an anonymous caller
		return nil, nil
	}
	return object, err
}
