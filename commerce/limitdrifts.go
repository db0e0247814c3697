package commerce

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/limitdrift"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/ent/predicate"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Two kinds of balances count what one customer has ordered: how many orders wait for payment, and how much of a product was ordered in a
// period. Each order moves them in the transaction that writes the order, so that they always agree with the orders. If they do not, somebody
// has changed rows by hand, or a program with a defect has. Then a customer may be locked out for ever, or an order cannot be given back,
// since a balance would fall below 0. So they are compared with the orders, and corrected: the orders are right.

// LimitDrifts compares the balances that bound what one customer may order with the orders.
type LimitDrifts struct{ *core }

// LimitStep is what a step of the comparison has done.
type LimitStep struct {
	Compared  int               // balances
	Found     []*ent.LimitDrift // those that counted something else than there was, each corrected unless there is an error
	Reopened  int               // orders that nobody would have taken off those that wait for payment; the job expire does
	Continues string            // where the next step begins; "" after the last
}

// Counting compares balances that are not 0, at most limit of those behind after. It leaves out what was ordered in periods that have ended,
// since nothing is bounded by that any more. The error is that of a store.
func (s *LimitDrifts) Counting(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	var prefixed []predicate.Balance
	for _, prefix := range lockprovider.CountPrefixes() {
		prefixed = append(prefixed, func(q *sql.Selector) { q.Where(sql.HasPrefix(q.C(balance.FieldID), prefix)) })
	}
	rows, err := s.Client.Balance.Query().Where(
		balance.Family(string(lockprovider.Stock)), balance.IDGT(after), balance.AmountNEQ(0),
		balance.Or(prefixed...),
	).Order(balance.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return done, err
	}
	counted := map[string]int64{}
	for _, row := range rows {
		if owner, ok := lockprovider.CountOf(row.ID); ok && !ended(owner.Period, s.now()) {
			counted[row.ID] = row.Amount
		}
	}
	if len(rows) == limit {
		done.Continues = rows[len(rows)-1].ID
	}
	if done.Reopened, err = s.reopen(ctx, counted); err != nil {
		return done, err
	}
	err = s.compareAll(ctx, counted, &done)
	return done, err
}

// Waiting compares the balances of orders of which something is still to be done, at most limit orders of those behind after: so it finds
// balances that have counted too little. The error is that of a store.
func (s *LimitDrifts) Waiting(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	rows, err := s.Client.Order.Query().Where(order.Settled(false), order.IDGT(after)).WithLines().Order(order.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return done, err
	}
	counted := map[string]int64{}
	for _, row := range rows {
		if row.Counted {
			counted[lockprovider.PendingKey(row.UserID)] = 0
		}
		for _, l := range row.Edges.Lines {
			if l.LimitBalance != nil {
				counted[*l.LimitBalance] = 0
			}
		}
	}
	if len(rows) == limit {
		done.Continues = rows[len(rows)-1].ID
	}
	if len(counted) == 0 {
		return done, nil
	}
	balances, err := s.Client.Balance.Query().Where(balance.IDIn(slices.Collect(maps.Keys(counted))...)).All(ctx)
	if err != nil {
		return done, err
	}
	for _, row := range balances {
		counted[row.ID] = row.Amount
	}
	err = s.compareAll(ctx, counted, &done)
	return done, err
}

// ended reports whether a period has ended for longer than any order of it may be on its way into the database.
func ended(period string, now time.Time) bool {
	var hours, number int64
	if n, err := fmt.Sscanf(period, "%dh%d", &hours, &number); n != 2 || err != nil {
		return false
	}
	return now.After(time.Unix((number+1)*hours*int64(time.Hour/time.Second), 0).Add(time.Hour))
}

// reopen has the job expire look again at orders of customers that count as waiting for payment, though they do not wait, and that are settled.
func (s *LimitDrifts) reopen(ctx context.Context, counted map[string]int64) (int, error) {
	var users []string
	for key := range counted {
		if owner, _ := lockprovider.CountOf(key); owner.ProductID == "" {
			users = append(users, owner.UserID)
		}
	}
	if len(users) == 0 {
		return 0, nil
	}
	return s.Client.Order.Update().
		Where(order.UserIDIn(users...), order.Counted(true), order.Settled(true), order.StatusNEQ(order.StatusPENDING)).
		SetSettled(false).SetNextAttemptAt(s.now()).Save(ctx)
}

// compareAll compares balances whose amounts were read with the orders. These were read at another moment, so that what differs is
// suspected only, and compared exactly.
func (s *LimitDrifts) compareAll(ctx context.Context, counted map[string]int64, done *LimitStep) error {
	if len(counted) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(counted))
	ordered, err := orderedOf(ctx, s.Client, keys)
	if err != nil {
		return err
	}
	done.Compared += len(keys)
	for _, key := range keys {
		if counted[key] == ordered[key] {
			continue
		}
		found, err := s.compare(ctx, key)
		if found != nil {
			done.Found = append(done.Found, found)
		}
		if err != nil {
			return fmt.Errorf("balance %s: %w", key, err)
		}
	}
	return nil
}

// orderedOf returns what balances should count, by the orders.
func orderedOf(ctx context.Context, client *ent.Client, keys []string) (map[string]int64, error) {
	ordered := map[string]int64{}
	var waiting, buyers, limits []string
	for _, key := range keys {
		owner, _ := lockprovider.CountOf(key)
		if owner.ProductID == "" {
			waiting = append(waiting, owner.UserID)
			continue
		}
		buyers, limits = append(buyers, owner.UserID), append(limits, key)
	}
	if len(waiting) > 0 {
		var rows []struct {
			UserID string `json:"user_id"`
			Count  int64  `json:"count"`
		}
		if err := client.Order.Query().Where(order.UserIDIn(waiting...), order.Counted(true)).
			GroupBy(order.FieldUserID).Aggregate(ent.Count()).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		for _, row := range rows {
			ordered[lockprovider.PendingKey(row.UserID)] = row.Count
		}
	}
	if len(limits) > 0 {
		var rows []struct {
			Balance string `json:"limit_balance"`
			Sum     int64  `json:"sum"`
		}
		if err := client.OrderLine.Query().Where(orderline.LimitBalanceIn(limits...),
			orderline.HasOrderWith(order.UserIDIn(buyers...), order.StatusIn(order.StatusPENDING, order.StatusPAID))).
			GroupBy(orderline.FieldLimitBalance).Aggregate(ent.Sum(orderline.FieldQuantity)).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		for _, row := range rows {
			ordered[row.Balance] = row.Sum
		}
	}
	return ordered, nil
}

// compare locks the row of a balance, without which no order moves it, and compares it. It corrects a balance that has drifted, by a change
// whose ID is made of that of the report: so it is corrected once, also by several instances at the same time, or after a crash. It returns the
// report, or nil if the balance is right.
func (s *LimitDrifts) compare(ctx context.Context, key string) (*ent.LimitDrift, error) {
	var report *ent.LimitDrift
	_, err := s.Ledger.Run(ctx, "", func(tx *ledger.Tx) (err error) {
		report = nil
		counted, ordered, err := s.exactly(ctx, tx, key)
		if err != nil {
			return err
		}
		known, err := orNil(tx.Ent.LimitDrift.Query().Where(limitdrift.Corrected(false), limitdrift.Balance(key)).Only(ctx))
		switch {
		case err != nil:
			return err
		case counted != ordered && known == nil:
			report, err = tx.Ent.LimitDrift.Create().SetBalance(key).SetCounted(counted).SetOrdered(ordered).SetSeenAt(s.now()).Save(ctx)
		case counted != ordered:
			report, err = tx.Ent.LimitDrift.UpdateOne(known).SetCounted(counted).SetOrdered(ordered).SetSeenAt(s.now()).Save(ctx)
		case known != nil: // a run was cut off after its change
			err = tx.Ent.LimitDrift.UpdateOne(known).SetCorrected(true).Exec(ctx)
		}
		return err
	})
	if err != nil || report == nil {
		return nil, translate(err, lockprovider.Receipt{})
	}
	owner, _ := lockprovider.CountOf(key)
	open, delta := unbounded(0), report.Ordered-report.Counted
	_, err = s.execute(ctx, lockprovider.Change{
		ID: stepID(key, "limit-drift\x00"+strconv.FormatInt(report.ID, 10)), Family: lockprovider.Stock,
		Moves: []lockprovider.Move{{Balance: key, Delta: delta, Open: &open}}, Confirm: true,
		Record: lockprovider.Record{
			Kind: KindLimitCorrected, Fingerprint: key,
			Payload: mustJSON(limitCorrected{UserID: owner.UserID, ProductID: owner.ProductID, Period: owner.Period, Delta: delta, At: s.now()}),
		},
	})
	if err != nil {
		return report, err
	}
	return report, s.Client.LimitDrift.UpdateOne(report).SetCorrected(true).Exec(ctx)
}

// exactly returns what a balance counts, and what it should count, at one moment.
func (s *LimitDrifts) exactly(ctx context.Context, tx *ledger.Tx, key string) (counted, ordered int64, err error) {
	open := unbounded(0)
	for range 2 {
		rows, err := tx.Read(ctx, []lockprovider.Move{{Balance: key, Open: &open}}, ledger.ForUpdate)
		if err != nil {
			return 0, 0, err
		}
		all, err := orderedOf(ctx, tx.Ent.Client(), []string{key})
		if err != nil {
			return 0, 0, err
		}
		counted, ordered = rows[0].Amount, all[key]
		if !rows[0].Missing || ordered == 0 {
			break
		}
		// There was no row to lock. An order may have made it since then: if it is still missing, none has.
	}
	return counted, ordered, nil
}

// Drifting returns how many balances are wrong and could not be corrected.
func (s *LimitDrifts) Drifting(ctx context.Context) (int, error) {
	return s.Client.LimitDrift.Query().Where(limitdrift.Corrected(false)).Count(ctx)
}
