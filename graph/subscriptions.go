package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/events"
	"holdfast/graph/model"
	"holdfast/graph/transport"
)

// Every subscription works alike. It waits for a notification that an object has changed, reads the
// object, and sends it. Changes that happen meanwhile make one notification. So nothing queues for
// a slow subscriber, and no other subscriber waits for it.

// stream is one subscription. It sends values of type T.
type stream[T any] struct {
	// read returns what to send about objects that may have changed, and whether that is the last
	// of it.
	read func(ctx context.Context, changed []string) (told []T, last bool, err error)
	// every is how often the stream reads without a notification.
	every time.Duration
}

// run watches objects until ctx or the stream ends. It reads once before it returns, so that an
// error of that reading refuses the subscription.
func (s stream[T]) run(ctx context.Context, r *Resolver, ids ...string) (<-chan T, error) {
	watch := r.live.Watch(ids...)
	told, last, err := s.read(ctx, watch.Take())
	if err != nil {
		watch.Close()
		return nil, err
	}
	out := make(chan T)
	go func() {
		defer close(out)
		defer watch.Close()
		for {
			for _, t := range told {
				select {
				case out <- t:
				case <-ctx.Done():
					return
				}
			}
			if last {
				return
			}
			select {
			case <-time.After(r.streams.Interval): // a hot product changes faster than anybody can read
			case <-ctx.Done():
				return
			}
			changed := s.wait(ctx, watch, ids)
			if changed == nil {
				return
			}
			if told, last, err = s.read(ctx, changed); err != nil {
				transport.EndStream(ctx, err)
				return
			}
		}
	}()
	return out, nil
}

// wait returns the IDs of objects that have changed. It returns all ids after s.every without a
// notification, and nil if ctx ends.
func (s stream[T]) wait(ctx context.Context, watch *events.Watch, ids []string) []string {
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	for {
		select {
		case <-watch.Notified():
			if changed := watch.Take(); len(changed) > 0 {
				return changed
			}
		case <-timer.C:
			return ids
		case <-ctx.Done():
			return nil
		}
	}
}

// watchStock sends products whose stock or version is not the one sent last.
func (r *Resolver) watchStock(ctx context.Context, ids []string) (<-chan *model.Product, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) < 1 || len(ids) > r.streams.MaxProducts {
		return nil, badInput("productIds", "productIds must be 1 to %d products, not %d", r.streams.MaxProducts, len(ids))
	}
	known, err := r.services.Catalog.ProductsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if row := known[id]; row == nil || row.ArchivedAt != nil && !auth.Viewer(ctx).Admin {
			return nil, badInput("productIds", "there is no product %.80q", id)
		}
	}
	type seen struct {
		stock   commerce.Reading // of all variants: what one gains and another loses counts, too
		version int
	}
	last := map[string]seen{}
	return stream[*model.Product]{
		every: r.streams.Refresh,
		read: func(ctx context.Context, changed []string) ([]*model.Product, bool, error) {
			stock, err := r.services.Catalog.Stock(ctx, changed)
			if err != nil {
				return nil, false, err
			}
			rows, err := r.services.Catalog.ProductsByID(ctx, changed)
			var told []*model.Product
			for _, id := range changed {
				if row := rows[id]; row != nil {
					now := seen{stock[id], row.Version}
					if before, ok := last[id]; !ok || before != now {
						last[id] = now
						told = append(told, toProduct(row))
					}
				}
			}
			return told, false, err
		},
	}.run(ctx, r, ids...)
}

// watchOrder sends an order whenever it is not the one sent last.
func (r *Resolver) watchOrder(ctx context.Context, id string) (<-chan *model.Order, error) {
	v := auth.Viewer(ctx)
	var before string
	return stream[*model.Order]{
		every: r.streams.Refresh,
		read: func(ctx context.Context, _ []string) ([]*model.Order, bool, error) {
			order, err := r.viewedOrder(ctx, v, id)
			if err != nil {
				return nil, false, err
			}
			last := !mayChange(order)
			if last {
				// A payment that comes now is given back, and the order tells of it.
				owed, err := r.services.Orders.OwesAttempt(ctx, id)
				if err != nil {
					return nil, false, err
				}
				if last = !owed; last { // perhaps since the order was read
					if order, err = r.viewedOrder(ctx, v, id); err != nil {
						return nil, false, err
					}
				}
			}
			now := fmt.Sprint(order.Status, order.Persistence, order.UpdatedAt.UnixNano(), orZero(order.Payment).Status)
			if now == before {
				return nil, last, nil
			}
			before = now
			return []*model.Order{order}, last, nil
		},
	}.run(ctx, r, id)
}

// viewedOrder returns an order of the viewer. One that is unknown, or another user's, is an error.
func (r *Resolver) viewedOrder(ctx context.Context, v commerce.Viewer, id string) (*model.Order, error) {
	row, persistence, err := r.services.Orders.Find(ctx, v, id)
	if err != nil {
		return nil, err
	}
	order := toOrderAs(row, persistence)
	if order == nil {
		return nil, badInput("id", "there is no order %.80q of yours", id)
	}
	return order, nil
}

// mayChange reports whether an order may still change by what it shows. A paid order may be
// cancelled, an ended one may be refunded.
func mayChange(o *model.Order) bool {
	switch o.Status {
	case model.OrderStatusPending, model.OrderStatusPaid:
		return true
	}
	return o.Payment != nil && (o.Payment.Status == model.PaymentStatusAuthorized || o.Payment.Status == model.PaymentStatusCaptured)
}

// watchTicket reads a position in the queue at a steady rate: positions move all the time, without a
// notification. A notification of the order comes at once, since the stream watches the order's ID,
// which differs from the ticket's in the prefix only.
func (r *Resolver) watchTicket(ctx context.Context, id string) (<-chan *model.QueueTicket, error) {
	v := auth.Viewer(ctx)
	var before string
	return stream[*model.QueueTicket]{
		every: r.streams.TicketPoll,
		read: func(ctx context.Context, _ []string) ([]*model.QueueTicket, bool, error) {
			ticket, err := findTicket(ctx, r.services, v, id)
			if err != nil {
				return nil, false, err
			}
			if ticket == nil {
				return nil, false, badInput("id", "there is no ticket %.80q of yours", id)
			}
			last := ticket.Status != model.TicketStatusWaiting && ticket.Status != model.TicketStatusServing
			now := fmt.Sprint(ticket.Status, ticket.Position)
			if now == before {
				return nil, last, nil
			}
			before = now
			return []*model.QueueTicket{ticket}, last, nil
		},
	}.run(ctx, r, prefixOrder+strings.TrimPrefix(id, "qt_"))
}

// badInput returns a business failure about an argument.
func badInput(argument, format string, args ...any) error {
	return &commerce.Error{Code: commerce.InvalidInput, Field: []string{argument}, Message: fmt.Sprintf(format, args...)}
}
