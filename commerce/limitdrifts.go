package commerce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/hold"
	"holdfast/ent/holdline"
	"holdfast/ent/limitdrift"
	"holdfast/ent/order"
	"holdfast/ent/orderline"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
)

// Three kinds of balances count what one customer has: how many orders wait for payment, how many
// holds there are, and how much of a product was ordered in a period or is held. Each order and hold
// moves them in the transaction that writes it, so that they always agree with the orders and holds.
// If they do not, somebody has changed rows by hand, or a program with a defect has. Then a customer
// may be locked out for ever, or an order cannot be given back, since a balance would fall below 0.
// So they are compared with the orders and holds, and corrected: the orders and holds are right.

// LimitDrifts compares the balances that bound what one customer may order and hold with the orders and holds.
type LimitDrifts struct{ *core }

// LimitStep is what a step of the comparison has done.
type LimitStep struct {
	Read      int               // balances, of which not all are compared
	Compared  int               // balances
	Found     []*ent.LimitDrift // of those that counted something else than there was, the reports that are new
	Failed    []error           // of balances that could not be compared or corrected; the others were
	Reopened  int               // orders that nobody would have taken off those that wait for payment; the job expire does
	Continues string            // where the next step begins; "" after the last
}

// CompareReported compares the balances of reports that say nothing of a correction, at most limit
// of those behind after: the correction was refused, or a run was cut off. The error is that of a
// store, or the end of ctx: then the step is to be repeated.
func (s *LimitDrifts) CompareReported(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	from, err := strconv.ParseInt(cmp.Or(after, "0"), 10, 64)
	if err != nil {
		return done, err
	}
	rows, err := s.Client.LimitDrift.Query().Where(is(limitdrift.FieldCorrected, false), limitdrift.IDGT(from)).
		Order(limitdrift.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return done, err
	}
	for _, row := range rows {
		if err := s.compareOne(ctx, row.Balance, &done); err != nil {
			return done, err
		}
	}
	if len(rows) == limit {
		done.Continues = strconv.FormatInt(rows[len(rows)-1].ID, 10)
	}
	return done, nil
}

// CompareCounts reads balances of the stock, at most limit of those behind after, and compares
// those that count what customers have ordered. It leaves out what was ordered in periods that have
// ended, since nothing is bounded by that any more, and customers of whom no order waits for
// payment, by the count: [LimitDrifts.CompareUnsettled] finds their orders. The error is that of a
// store, or the end of ctx: then the step is to be repeated.
func (s *LimitDrifts) CompareCounts(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	rows, err := s.Client.Balance.Query().Where(balance.Family(string(lockprovider.Stock)), balance.IDGT(after)).
		Order(balance.ByID()).Limit(limit).Select(balance.FieldID, balance.FieldAmount).All(ctx)
	if err != nil {
		return done, err
	}
	done.Read = len(rows)
	counted := map[string]int64{}
	for _, row := range rows {
		owner, ok := lockprovider.CountOf(row.ID)
		if ok && !ended(owner.Period, s.now()) && (row.Amount != 0 || owner.VariantID != "") {
			counted[row.ID] = row.Amount
		}
	}
	if done.Reopened, err = s.reopen(ctx, counted); err != nil {
		return done, err
	}
	if err := s.compareAll(ctx, counted, &done); err != nil {
		return done, err
	}
	if len(rows) == limit {
		done.Continues = rows[len(rows)-1].ID
	}
	return done, nil
}

// CompareUnsettled compares the balances of orders of which something is still to be done, at most
// limit orders of those behind after: so it finds balances that have counted too little, and those
// that are missing. An order whose turn is brought forward meanwhile may be left to the next run.
// The error is that of a store, or the end of ctx: then the step is to be repeated.
func (s *LimitDrifts) CompareUnsettled(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	from, id := since(after, longAgo)
	rows, err := s.Client.Order.Query().Where(
		is(order.FieldSettled, false), order.NextAttemptAtGTE(from),
		order.Or(order.NextAttemptAtGT(from), order.And(order.NextAttemptAt(from), order.IDGT(id))),
	).WithLines().Order(order.ByNextAttemptAt(), order.ByID()).Limit(limit).All(ctx)
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
	if err := s.compareRead(ctx, counted, &done); err != nil {
		return done, err
	}
	done.Continues = placeAfter(rows, limit, func(row *ent.Order) (time.Time, string) { return *row.NextAttemptAt, row.ID })
	return done, nil
}

// CompareHolds compares the balances of active holds, at most limit holds of those behind after, as
// [LimitDrifts.CompareUnsettled] does with orders. A hold that is extended meanwhile may be left to
// the next run. The error is that of a store, or the end of ctx: then the step is to be repeated.
func (s *LimitDrifts) CompareHolds(ctx context.Context, after string, limit int) (done LimitStep, err error) {
	from, id := since(after, longAgo)
	rows, err := s.Client.Hold.Query().Where(
		hold.StatusEQ(hold.StatusACTIVE), hold.NextAttemptAtGTE(from),
		hold.Or(hold.NextAttemptAtGT(from), hold.And(hold.NextAttemptAt(from), hold.IDGT(id))),
	).WithLines().Order(hold.ByNextAttemptAt(), hold.ByID()).Limit(limit).All(ctx)
	if err != nil {
		return done, err
	}
	counted := map[string]int64{}
	for _, row := range rows {
		counted[lockprovider.HoldsKey(row.UserID)] = 0
		for _, l := range row.Edges.Lines {
			if l.LimitBalance != nil {
				counted[*l.LimitBalance] = 0
			}
		}
	}
	if err := s.compareRead(ctx, counted, &done); err != nil {
		return done, err
	}
	done.Continues = placeAfter(rows, limit, func(row *ent.Hold) (time.Time, string) { return row.NextAttemptAt, row.ID })
	return done, nil
}

// compareRead reads the amounts of balances, 0 for those that are missing, and compares them.
func (s *LimitDrifts) compareRead(ctx context.Context, counted map[string]int64, done *LimitStep) error {
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(counted)), atOnce) {
		balances, err := s.Client.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
		if err != nil {
			return err
		}
		for _, row := range balances {
			counted[row.ID] = row.Amount
		}
	}
	return s.compareAll(ctx, counted, done)
}

// ended reports whether a period has ended for longer than any order of it may be on its way into the database.
func ended(period string, now time.Time) bool {
	var hours, number int64
	if n, err := fmt.Sscanf(period, "%dh%d", &hours, &number); n != 2 || err != nil {
		return false
	}
	return now.After(time.Unix((number+1)*hours*int64(time.Hour/time.Second), 0).Add(time.Hour))
}

// reopen has the job expire look again at orders of customers that count as waiting for payment,
// though they do not wait, and that are settled.
func (s *LimitDrifts) reopen(ctx context.Context, counted map[string]int64) (int, error) {
	var users []string
	for key := range counted {
		if owner, _ := lockprovider.CountOf(key); owner.VariantID == "" && !owner.Holds {
			users = append(users, owner.UserID)
		}
	}
	if len(users) == 0 {
		return 0, nil
	}
	return s.Client.Order.Update().
		Where(order.UserIDIn(users...), is(order.FieldCounted, true), order.Settled(true), order.StatusNEQ(order.StatusPENDING)).
		SetSettled(false).SetNextAttemptAt(s.now()).Save(ctx)
}

// atOnce is how many keys or rows a query names. It is chosen: SQLite takes 32,766 parameters, PostgreSQL 65,535.
const atOnce = 1000

// compareAll compares balances whose amounts were read with the orders. These were read at another moment, so that what differs is
// suspected only, and compared exactly.
func (s *LimitDrifts) compareAll(ctx context.Context, counted map[string]int64, done *LimitStep) error {
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(counted)), atOnce) {
		ordered, err := orderedOf(ctx, s.Client, keys)
		if err != nil {
			return err
		}
		done.Compared += len(keys)
		for _, key := range keys {
			if counted[key] == ordered[key] {
				continue
			}
			if err := s.compareOne(ctx, key, done); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareOne compares a balance exactly. It returns an error if the others would fail as well; else it notes the error.
func (s *LimitDrifts) compareOne(ctx context.Context, key string, done *LimitStep) error {
	found, err := s.compare(ctx, key)
	if found != nil {
		done.Found = append(done.Found, found)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("balance %s: %w", key, err)
	if ctx.Err() != nil || isStoreAway(err) {
		return err
	}
	done.Failed = append(done.Failed, err)
	return nil
}

// orderedOf returns what balances should count, by the orders and the holds. It takes at most [atOnce] of them. An order that takes a
// hold over moves a unit from the holds to the orders: a caller who must not see it in between has the count of the holds locked.
func orderedOf(ctx context.Context, client *ent.Client, keys []string) (map[string]int64, error) {
	ordered := map[string]int64{}
	var waiting, holding, limits []string
	for _, key := range keys {
		switch owner, _ := lockprovider.CountOf(key); {
		case owner.Holds:
			holding = append(holding, owner.UserID)
		case owner.VariantID == "":
			waiting = append(waiting, owner.UserID)
		default:
			limits = append(limits, key)
		}
	}
	if len(waiting) > 0 {
		var rows []struct {
			UserID string `json:"user_id"`
			Count  int64  `json:"count"`
		}
		if err := client.Order.Query().Where(order.UserIDIn(waiting...), is(order.FieldCounted, true)).
			GroupBy(order.FieldUserID).Aggregate(ent.Count()).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		for _, row := range rows {
			ordered[lockprovider.PendingKey(row.UserID)] = row.Count
		}
	}
	if len(limits) > 0 {
		if err := addUnits(ctx, ordered, client.OrderLine.Query().Where(orderline.LimitBalanceIn(limits...),
			orderline.HasOrderWith(order.StatusIn(order.StatusPENDING, order.StatusPAID))).
			GroupBy(orderline.FieldLimitBalance).Aggregate(ent.Sum(orderline.FieldQuantity)).Scan); err != nil {
			return nil, err
		}
		if err := addUnits(ctx, ordered, client.HoldLine.Query().Where(holdline.LimitBalanceIn(limits...),
			holdline.HasHoldWith(hold.StatusEQ(hold.StatusACTIVE))).
			GroupBy(holdline.FieldLimitBalance).Aggregate(ent.Sum(holdline.FieldQuantity)).Scan); err != nil {
			return nil, err
		}
	}
	return ordered, addHolds(ctx, client, ordered, holding)
}

// addHolds counts the active holds of users.
func addHolds(ctx context.Context, client *ent.Client, counted map[string]int64, users []string) error {
	if len(users) == 0 {
		return nil
	}
	var rows []struct {
		UserID string `json:"user_id"`
		Count  int64  `json:"count"`
	}
	err := client.Hold.Query().Where(hold.UserIDIn(users...), hold.StatusEQ(hold.StatusACTIVE)).
		GroupBy(hold.FieldUserID).Aggregate(ent.Count()).Scan(ctx, &rows)
	for _, row := range rows {
		counted[lockprovider.HoldsKey(row.UserID)] = row.Count
	}
	return err
}

// addUnits adds the sums that scan reads to what balances should count.
func addUnits(ctx context.Context, counted map[string]int64, scan func(ctx context.Context, rows any) error) error {
	var rows []struct {
		Balance string `json:"limit_balance"`
		Sum     int64  `json:"sum"`
	}
	err := scan(ctx, &rows)
	for _, row := range rows {
		counted[row.Balance] += row.Sum
	}
	return err
}

// compare locks the row of a balance, without which no order moves it, and that of the holds of its
// customer, without which no order takes one of them over, and compares it. It corrects
// a balance that has drifted, by a change whose ID is made of that of the report: so it is
// corrected once, also by several instances at the same time, or after a crash. It returns the
// report if it is new.
func (s *LimitDrifts) compare(ctx context.Context, key string) (found *ent.LimitDrift, err error) {
	var report *ent.LimitDrift
	owner, _ := lockprovider.CountOf(key)
	_, err = s.Ledger.Run(ctx, "", func(tx *ledger.Tx) (err error) {
		found, report = nil, nil
		open := unbounded(0)
		row, err := tx.Lock(ctx, lockprovider.Move{Balance: key, Open: &open})
		if err != nil {
			return err
		}
		if owner.VariantID != "" { // its key comes before that of the holds: the order of every path
			if _, err := tx.Lock(ctx, lockprovider.Move{Balance: lockprovider.HoldsKey(owner.UserID), Open: &open}); err != nil {
				return err
			}
		}
		all, err := orderedOf(ctx, tx.Ent.Client(), []string{key})
		if err != nil {
			return err
		}
		counted, ordered := row.Amount, all[key]
		uncorrected := limitdrift.And(is(limitdrift.FieldCorrected, false), limitdrift.Balance(key))
		known, err := orNil(tx.Ent.LimitDrift.Query().Where(uncorrected).Order(limitdrift.ByID()).First(ctx))
		switch {
		case err != nil:
			return err
		case counted != ordered && known == nil:
			found, err = tx.Ent.LimitDrift.Create().SetBalance(key).SetCounted(counted).SetOrdered(ordered).SetSeenAt(s.now()).Save(ctx)
			report = found
		case counted != ordered:
			report, err = tx.Ent.LimitDrift.UpdateOne(known).SetCounted(counted).SetOrdered(ordered).SetSeenAt(s.now()).Save(ctx)
		case known != nil: // a run was cut off after its change
			err = tx.Ent.LimitDrift.Update().Where(uncorrected).SetCorrected(true).Exec(ctx)
		}
		return err
	})
	if err != nil || report == nil {
		return nil, translate(err, lockprovider.Receipt{})
	}
	if err := s.align(ctx, key); err != nil {
		return found, err
	}
	variant, err := orNil(s.Client.ProductVariant.Get(ctx, owner.VariantID))
	if err != nil {
		return found, err
	}
	productID := ""
	if variant != nil {
		productID = variant.ProductID
	}
	open, delta := unbounded(0), report.Ordered-report.Counted
	_, err = s.execute(ctx, lockprovider.Change{
		ID: stepID(key, "limit-drift\x00"+strconv.FormatInt(report.ID, 10)), Family: lockprovider.Stock,
		Moves: []lockprovider.Move{{Balance: key, Delta: delta, Open: &open}}, Confirm: true,
		Record: lockprovider.Record{
			Kind: KindLimitCorrected, Fingerprint: key,
			Payload: mustJSON(limitCorrected{
				UserID: owner.UserID, ProductID: productID, VariantID: owner.VariantID, Period: owner.Period, Holds: owner.Holds, Delta: delta, At: s.now(),
			}),
		},
	})
	if err != nil {
		return found, err
	}
	return found, s.Client.LimitDrift.UpdateOne(report).SetCorrected(true).Exec(ctx)
}

// alignWithin bounds how long the comparison of one balance with Redis may keep others from it. It
// is chosen, as the default of jobs.freeze.
const alignWithin = time.Second

// align gives Redis what the database says of a balance, if the stock is served from Redis. Else a
// number that is wrong in the database only would be corrected in Redis as well, where it is right.
func (s *LimitDrifts) align(ctx context.Context, key string) error {
	r, ok := lockprovider.As[lockprovider.Reconciler](s.Providers.For(lockprovider.Stock))
	if !ok {
		return nil
	}
	if active, err := r.Active(ctx); err != nil || !active {
		return translate(err, lockprovider.Receipt{})
	}
	bounded, cancel := context.WithTimeout(ctx, alignWithin)
	defer cancel()
	c, err := r.Reconcile(bounded, key)
	if err == nil && c.Drifted() && !c.Repaired {
		err = errNotAligned
	}
	return translate(err, lockprovider.Receipt{})
}

var errNotAligned = errors.New("redis differs from the database, and could not be repaired")

// Drifting returns how many balances are wrong and could not be corrected.
func (s *LimitDrifts) Drifting(ctx context.Context) (int, error) {
	return s.Client.LimitDrift.Query().Where(is(limitdrift.FieldCorrected, false)).Count(ctx)
}
