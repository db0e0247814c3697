package graph

import (
	"context"
	"errors"
	"strings"

	"holdfast/commerce"
	"holdfast/graph/model"
)

// finder looks up an object of one type. It returns nil, not an error, if the object does not exist
// or belongs to another user.
type finder func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error)

// finders has a finder for each prefix of identifiers.
var finders = map[string]finder{
	"prod_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Catalog.Show(ctx, v, id)
		return found(toProduct(row), err)
	},
	"coup_": func(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
		row, err := s.Coupons.Show(ctx, v, id)
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
		if row != nil && toEntry(row).ID != id { // "entry_007" is another spelling of an ID; an object has one ID
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
		return toWallet(v.UserID), nil
	},
}

const (
	prefixOrder   = "ord_"
	prefixPayment = "pay_"
)

// findPayment looks up the payment's order, which has its owner. Their identifiers differ in the
// prefix only.
func findPayment(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
	row, err := s.Orders.Get(ctx, v, prefixOrder+strings.TrimPrefix(id, prefixPayment))
	if err != nil || row == nil || row.Edges.Payment == nil || row.Edges.Payment.ID != id {
		return nil, err
	}
	return toPayment(row.Edges.Payment), nil
}

// findTicket returns a ticket, with the business failures of its order as data. It returns nil if
// the ticket is not the viewer's.
func findTicket(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (*model.QueueTicket, error) {
	result, err := s.Orders.Ticket(ctx, v, id)
	refused, isRefused := commerce.UserErrors(err)
	if err != nil && (!isRefused || refused[0].RetryAfter > 0) {
		return nil, err
	}
	return toTicket(result, each(refused, toUserError)), nil
}

// found turns a nil pointer into a nil interface.
func found[T any, P interface {
	*T
	model.Node
}](object P, err error) (model.Node, error) {
	if err != nil || object == nil {
		return nil, err
	}
	return object, nil
}

// findNode looks up an object by its identifier. It returns nil if there is none that the viewer
// may see.
func findNode(ctx context.Context, s *commerce.Services, v commerce.Viewer, id string) (model.Node, error) {
	prefix, _, ok := strings.Cut(id, "_")
	find := finders[prefix+"_"]
	if !ok || find == nil {
		return nil, nil
	}
	object, err := find(ctx, s, v, id)
	if errors.Is(err, commerce.ErrUnauthenticated) { // to an anonymous caller every object belongs to another user
		return nil, nil
	}
	return object, err
}
