package load

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/experiment/claims"
	"holdfast/experiment/history"
	"holdfast/lockprovider"
)

// A load that records its history asks for positions, reads what it has just moved, and now and then repeats what it has done.

const (
	// readOf and repeatOf say how often a client reads after an operation, and sends a request again although it was done: one time
	// in so many. Chosen: reads are about half of what is asked for, and do not change much what the shop has to do.
	readOf, repeatOf = 2, 16
)

// positionFields are what mutations are asked for besides.
const positionFields = " meta { positions { subjectId position } "

// query returns the mutation of a request.
func (l *Generator) query(operation string) string {
	q := mutations[operation]
	if l.History {
		q = strings.Replace(q, " meta { ", positionFields, 1)
	}
	return q
}

// note adds an attempt to the history. p is nil if there was no answer.
func (l *Generator) note(r *recorder, client int, a *Request, sent time.Time, reply claims.Reply, p *payload) {
	if !l.History || a.Order != nil { // what a payment, a cancellation or a refund changes are changes of the shop, with names of their own
		return
	}
	o := history.Operation{
		Name: a.Operation, Client: client, Start: sent.Sub(l.epoch), End: time.Since(l.epoch), Change: a.Change, Outcome: outcomeOf(a, reply),
	}
	if p != nil && (o.Outcome == history.Persisted || o.Outcome == history.Accepted) {
		moves := a.Moves()
		for _, at := range p.Meta.Positions {
			// The payment of an order is a change of its own, and its balance may be in no journal that is read.
			if key := balanceOf(at.SubjectID); slices.Contains(moves, key) {
				n, _ := strconv.ParseInt(at.Position, 10, 64) // what is none is position 0, which no change has
				o.Observed = append(o.Observed, history.Observation{Balance: key, Position: n})
			}
		}
	}
	r.history = append(r.history, o)
}

// outcomeOf returns what an answer says of the change.
func outcomeOf(a *Request, reply claims.Reply) history.Outcome {
	switch reply.Change() {
	case claims.Applied:
		return history.Persisted
	case claims.Accepted:
		return history.Accepted
	case claims.Refused, claims.NotStarted:
		if a.issue == "" && a.Payment == "" {
			return history.Refused
		}
		return history.Unknown // a later step may have been refused, after which the first one was taken back
	default:
		return history.Unknown
	}
}

// balanceOf returns the balance of what an answer names, or "".
func balanceOf(subject string) string {
	switch prefix, rest, _ := strings.Cut(subject, "_"); prefix {
	case "prod", "var":
		return lockprovider.StockKey(subject)
	case "coup":
		return lockprovider.CouponKey(subject)
	case "acct":
		return lockprovider.AccountKey(subject)
	case "wallet":
		return lockprovider.PointsKey(rest)
	}
	return ""
}

// afterwards sends a request again, sometimes, and reads what it has moved.
func (l *Generator) afterwards(ctx context.Context, r *recorder, dice *rand.Rand, client int, a *Request) {
	if !l.History || ctx.Err() != nil {
		return
	}
	if a.Outcome == Granted && a.Order == nil && dice.IntN(repeatOf) == 0 {
		repeat, code := newRecorder(), a.Code // what the repeat costs is not what an operation does
		l.once(ctx, repeat, client, client+1, a)
		r.history = append(r.history, repeat.history...)
		a.Outcome, a.Code = Granted, code // whatever the repeat was told: the claims know
	}
	if dice.IntN(readOf) == 0 {
		l.read(ctx, r, client, a)
	}
}

// reading is what a query of one balance says.
type reading struct {
	Data struct {
		Product *struct{ Stock *level }
		Account *struct {
			Balance  *struct{ AmountMinor string }
			Position *string
		}
		Me *struct {
			Wallet *struct{ Balance, Position *string }
		}
	}
	Errors []struct{ Message string }
}

type level struct{ Available, Position string }

// read reads one balance that a request was about, at another instance than the one that the request was sent to.
func (l *Generator) read(ctx context.Context, r *recorder, client int, a *Request) {
	var key, query string
	switch a.Operation {
	case PlaceOrder, PayOrder, CancelOrder, RefundCreate:
		product := a.Lines[len(a.Lines)-1].Product
		key, query = lockprovider.StockKey(product), `{ product(id: "`+product+`") { stock { available position } } }`
	case Transfer:
		key, query = lockprovider.AccountKey(a.From), `{ account(id: "`+a.From+`") { balance { amountMinor } position } }`
	case ChargePoints:
		key, query = lockprovider.PointsKey(a.User), `{ me { wallet { balance position } } }`
	default:
		return // the API tells no position of a coupon but to those who take one
	}
	sent := time.Now()
	var reply reading
	if err := l.Shop.send(ctx, client+1, a.User, query, nil, &reply); err != nil || len(reply.Errors) > 0 {
		return // a read without an answer says nothing
	}
	var amount, position string
	d := reply.Data
	switch {
	case d.Product != nil && d.Product.Stock != nil:
		amount, position = d.Product.Stock.Available, d.Product.Stock.Position
	case d.Account != nil && d.Account.Balance != nil && d.Account.Position != nil:
		amount, position = d.Account.Balance.AmountMinor, *d.Account.Position
	case d.Me != nil && d.Me.Wallet != nil && d.Me.Wallet.Balance != nil && d.Me.Wallet.Position != nil:
		amount, position = *d.Me.Wallet.Balance, *d.Me.Wallet.Position
	default:
		return
	}
	seen := history.Observation{Balance: key}
	var err error
	if seen.Amount, err = strconv.ParseInt(amount, 10, 64); err != nil {
		return
	}
	if seen.Position, err = strconv.ParseInt(position, 10, 64); err != nil {
		return
	}
	r.history = append(r.history, history.Operation{
		Name: "read", Client: client, Start: sent.Sub(l.epoch), End: time.Since(l.epoch), Outcome: history.Persisted,
		Observed: []history.Observation{seen},
	})
}

// Moves returns the balances that a request moves and that the API tells positions of.
func (a *Request) Moves() []string {
	switch a.Operation {
	case PlaceOrder:
		keys := make([]string, len(a.Lines))
		for i, line := range a.Lines {
			keys[i] = lockprovider.StockKey(line.Product)
		}
		return keys
	case IssueCoupon:
		return []string{lockprovider.CouponKey(a.Coupon)}
	case ChargePoints:
		return []string{lockprovider.PointsKey(a.User)}
	case Transfer:
		return []string{lockprovider.AccountKey(a.From), lockprovider.AccountKey(a.To)}
	}
	return nil
}
