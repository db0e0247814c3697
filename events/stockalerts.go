package events

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/stockalert"
	"holdfast/lockprovider"
)

// stockAlerts keeps StockAlert from the topic of stock: low is raised when at most threshold are left, and cleared above.
type stockAlerts struct {
	client    *ent.Client
	threshold int64
	// sides are what alerts were found to say, by variant. Without them, each order would ask the database to hear that nothing is
	// to be done.
	sides *lru.Cache[string, side]
}

// side is what an alert was found to say.
type side struct {
	low   bool
	found time.Time
}

const (
	// knownSides bounds how many alerts an instance remembers. An entry takes some 200 bytes.
	knownSides = 10_000
	// sideAge is how long an instance relies on what an alert was found to say. An alert may change without an event that this
	// instance sees: by an instance with another threshold, by a backup that is restored. The next event after this time mends it.
	sideAge = time.Minute
)

func newStockAlerts(client *ent.Client, threshold int64) stockAlerts {
	sides, err := lru.New[string, side](knownSides)
	if err != nil {
		panic(err) // impossible: the size is positive
	}
	return stockAlerts{client, threshold, sides}
}

// handle looks at the alert, unless the event leaves the variant on the side of the threshold that the alert was found on lately. Another
// instance may have replaced the alert since. If the alert is then on the other side, the variant has crossed the threshold since,
// and back before this event: that crossing is an event as well, whose handler looks.
func (s stockAlerts) handle(ctx context.Context, e Event) error {
	if e.Kind != KindStockChanged {
		return nil // what stock.adjusted tells, stock.changed tells as well
	}
	p, err := payloadOf[StockChanged](e)
	if err != nil {
		return err
	}
	if p.ProductID == "" || p.Position == 0 {
		return fmt.Errorf("%w: %s without productId or position", errPermanent, e.Kind)
	}
	p.VariantID = cmp.Or(p.VariantID, lockprovider.FirstVariantID(p.ProductID))
	low, crosses := s.judge(p)
	now := time.Now()
	if alert, known := s.sides.Get(p.VariantID); known && now.Sub(alert.found) < sideAge && alert.low == low && !crosses {
		return nil
	}
	alert, err := s.client.StockAlert.Get(ctx, p.VariantID)
	if err != nil && !ent.IsNotFound(err) {
		return err
	}
	if s.mustRecord(alert, p) {
		defer s.sides.Remove(p.VariantID) // also if it fails: it may have written
		return s.record(ctx, p)
	}
	s.sides.Add(p.VariantID, side{low: alert != nil && alert.Low, found: now})
	return nil
}

// judge tells whether an event leaves a variant low, and whether the variant was on the other side of the threshold before it.
func (s stockAlerts) judge(p StockChanged) (low, crosses bool) {
	low = p.AmountAfter <= s.threshold
	return low, low != (p.AmountAfter-p.Delta <= s.threshold)
}

// mustRecord tells whether an event must be recorded in the alert, which is nil if the variant has none yet.
//
// Most events need not: they leave the variant on its side of the threshold. An event that crosses the threshold is recorded
// even if it changes nothing. Its position then shows that an event which arrives later is older.
func (s stockAlerts) mustRecord(alert *ent.StockAlert, p StockChanged) bool {
	low, crosses := s.judge(p)
	if alert == nil {
		return low || crosses
	}
	return p.Position > alert.Position && (low != alert.Low || crosses)
}

// record writes the alert, unless a later event has. Each statement is valid by itself, so that no transaction is needed.
func (s stockAlerts) record(ctx context.Context, p StockChanged) error {
	low, _ := s.judge(p)
	update := func() (int, error) {
		return s.client.StockAlert.Update().Where(stockalert.ID(p.VariantID), stockalert.PositionLT(p.Position)).
			SetLow(low).SetThreshold(s.threshold).SetPosition(p.Position).SetSince(p.At).Save(ctx)
	}
	if n, err := update(); err != nil || n > 0 {
		return err
	}
	err := s.client.StockAlert.Create().SetID(p.VariantID).
		SetLow(low).SetThreshold(s.threshold).SetPosition(p.Position).SetSince(p.At).
		OnConflict().DoNothing().Exec(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // no rows: it exists
		return err
	}
	_, err = update() // the one that exists may have been created since, by an older event
	return err
}

// LowVariant is a variant whose stock is low.
type LowVariant struct {
	VariantID string
	Left      int64 // now
	Threshold int64
	Since     time.Time
}

// MaxLow bounds the list of variants whose stock is low.
const MaxLow = 100

// LowStock lists the variants whose stock is low, the latest first, at most limit of them and MaxLow. A variant is judged
// when its stock changes: one that was created with little is in the list from its first sale on.
func LowStock(ctx context.Context, client *ent.Client, limit int) ([]LowVariant, error) {
	alerts, err := client.StockAlert.Query().Where(stockalert.Low(true)).
		Order(ent.Desc(stockalert.FieldSince), stockalert.ByID()).Limit(min(max(limit, 0), MaxLow)).All(ctx)
	if err != nil || len(alerts) == 0 {
		return nil, err
	}
	keys := make([]string, len(alerts))
	for i, a := range alerts {
		keys[i] = lockprovider.StockKey(a.ID)
	}
	balances, err := client.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
	if err != nil {
		return nil, err
	}
	left := make(map[string]int64, len(balances))
	for _, b := range balances {
		left[b.ID] = b.Amount
	}
	low := make([]LowVariant, len(alerts))
	for i, a := range alerts {
		low[i] = LowVariant{VariantID: a.ID, Left: left[keys[i]], Threshold: a.Threshold, Since: a.Since}
	}
	return low, nil
}
