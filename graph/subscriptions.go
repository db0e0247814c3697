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

// What subscriptions have in common: each reads what it watches when it hears that it has changed, tells that, and waits.
// What changes meanwhile is heard once, so that nothing piles up for a subscriber who takes long, and nobody waits for one.

// stream is one subscription: what it reads with, and when.
type stream[T any] struct {
	// read returns what is to be told about objects that may have changed, and whether that was the last of it.
	read func(ctx context.Context, changed []string) (told []T, last bool, err error)
	// every is how often it reads without having heard anything.
	every time.Duration
}

// run watches objects until ctx ends, or the stream does. The first reading is done before it returns, so that what cannot
// be watched at all is refused at once.
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
			case <-time.After(r.streams.Interval): // a hot product changes more often than anybody can look at
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

// wait returns what has changed, or everything once the time is over; nil where ctx has ended.
func (s stream[T]) wait(ctx context.Context, watch *events.Watch, ids []string) []string {
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	for {
		select {
		case <-watch.Heard():
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

// watchStock tells products whose stock is not what was told last.
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
		if known[id] == nil {
			return nil, badInput("productIds", "there is no product %.80q", id)
		}
	}
	type seen struct {
		stock   int64
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

// watchOrder tells an order whenever it is not what was told last.
func (r *Resolver) watchOrder(ctx context.Context, id string) (<-chan *model.Order, error) {
	v := auth.Viewer(ctx)
	var before string
	return stream[*model.Order]{
		every: r.streams.Refresh,
		read: func(ctx context.Context, _ []string) ([]*model.Order, bool, error) {
			row, persistence, err := r.services.Orders.Find(ctx, v, id)
			if err != nil {
				return nil, false, err
			}
			order := toOrderAs(row, persistence)
			if order == nil { // unknown, or somebody else's
				return nil, false, badInput("id", "there is no order %.80q of yours", id)
			}
			now := fmt.Sprint(order.Status, order.Persistence, order.UpdatedAt.UnixNano(), orZero(order.Payment).Status)
			last := !mayChange(order)
			if now == before {
				return nil, last, nil
			}
			before = now
			return []*model.Order{order}, last, nil
		},
	}.run(ctx, r, id)
}

// mayChange tells an order that has not ended for good. A paid one may be cancelled, and an ended one may still be refunded.
func mayChange(o *model.Order) bool {
	switch o.Status {
	case model.OrderStatusPending, model.OrderStatusPaid:
		return true
	}
	return o.Payment != nil && (o.Payment.Status == model.PaymentStatusAuthorized || o.Payment.Status == model.PaymentStatusCaptured)
}

// watchTicket looks at a place in line at a steady rate: places move all the time, and nothing tells of it. The order that is
// made in the end is heard of at once; it is named like the ticket.
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
			last := ticket.Status != model.TicketStatusWaiting
			now := fmt.Sprint(ticket.Status, ticket.Position)
			if now == before {
				return nil, last, nil
			}
			before = now
			return []*model.QueueTicket{ticket}, last, nil
		},
	}.run(ctx, r, prefixOrder+strings.TrimPrefix(id, "qt_"))
}

func badInput(argument, format string, args ...any) error {
	return &commerce.Error{Code: commerce.InvalidInput, Field: []string{argument}, Message: fmt.Sprintf(format, args...)}
}
