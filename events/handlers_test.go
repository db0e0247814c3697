package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/internal/testenv"
)

// The handlers' statements do the same in the other databases.
func TestOtherDatabases(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"postgres": testenv.Postgres, "mariadb": testenv.MariaDB} {
		t.Run(name, func(t *testing.T) {
			for _, s := range scenarios[:3] {
				// Each has a database of its own: the end of one may leave changes that its relay has not marked yet.
				t.Run(s.name, func(t *testing.T) { s.run(newEnvOn(t, channelKind, url(t))) })
			}
		})
	}
}

// Whatever order the events of a product's stock arrive in, however often, one by one or all at once, and at whichever of two
// instances, the alert is that of the latest.
func TestStockAlertInAnyOrder(t *testing.T) {
	e := newEnv(t, channelKind)
	instances := []stockAlerts{newStockAlerts(e.db.Ent, lowStock), newStockAlerts(e.db.Ent, lowStock)}
	for seed := range uint64(100) {
		dice := rand.New(rand.NewPCG(seed, 0))
		product := fmt.Sprint("prod_", seed)
		var events []Event
		amount := int64(dice.IntN(12))
		for position := range 1 + dice.IntN(8) {
			delta := max(int64(dice.IntN(13)-6), -amount)
			amount += delta
			payload, err := json.Marshal(StockChanged{
				ProductID: product, Delta: delta, AmountAfter: amount, Position: int64(position) + 1, At: time.Now(),
			})
			must(t, err)
			events = append(events, Event{ID: fmt.Sprint(seed, position), Kind: KindStockChanged, Payload: payload})
		}
		arriving := slices.Concat(events, events[:dice.IntN(len(events)+1)])
		dice.Shuffle(len(arriving), func(i, j int) { arriving[i], arriving[j] = arriving[j], arriving[i] })
		var wg sync.WaitGroup
		for _, event := range arriving {
			alerts := instances[dice.IntN(len(instances))]
			deliver := func() {
				if err := alerts.handle(t.Context(), event); err != nil {
					t.Error(err)
				}
			}
			if seed%2 == 0 {
				deliver()
			} else {
				wg.Go(deliver)
			}
		}
		wg.Wait()
		if _, low := e.low()[product]; low != (amount <= lowStock) {
			t.Errorf("seed %d: %d left, low: %v\nin order %s\narriving %s", seed, amount, low, payloads(events), payloads(arriving))
		}
	}
}

// Of the events that leave a product on its side of the threshold, only the first one asks the database. Those that cross the
// threshold always do, and the one after them.
func TestStockAlertAsksOnlyWhenItMust(t *testing.T) {
	e := newEnv(t, channelKind)
	alerts, asked := newStockAlerts(e.db.Ent, lowStock), 0
	e.db.Ent.StockAlert.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			asked++
			return next.Query(ctx, q)
		})
	}))
	amount, position := int64(lowStock+100), int64(0)
	sell := func(n int64) {
		amount, position = amount-n, position+1
		payload, err := json.Marshal(StockChanged{ProductID: "prod_1", Delta: -n, AmountAfter: amount, Position: position, At: time.Now()})
		must(t, err)
		must(t, alerts.handle(t.Context(), Event{ID: fmt.Sprint(position), Kind: KindStockChanged, Payload: payload}))
	}
	for _, step := range []struct {
		about string
		sales []int64
		want  int
		low   bool
	}{
		{"above", []int64{1, 1, 1, 1, 1}, 1, false},
		{"down to low", []int64{95}, 1, true},
		{"low", []int64{1, 1, 1}, 1, true},
		{"up", []int64{-50}, 1, false},
		{"above again", []int64{1, -1, 1}, 1, false},
	} {
		asked = 0
		for _, n := range step.sales {
			sell(n)
		}
		if asked != step.want {
			t.Errorf("%s: asked %d times, want %d", step.about, asked, step.want)
		}
		if _, low := e.low()["prod_1"]; low != step.low {
			t.Errorf("%s: low is %v", step.about, low)
		}
	}
}

// An alert that is wrong without an event that tells of it is right again after the next event, once what the instance knows of it is
// old: another instance, with another threshold, has cleared it, or it is lost with a backup that was restored.
func TestStockAlertHeals(t *testing.T) {
	for about, spoil := range map[string]func(*env, string){
		"cleared by another threshold": func(e *env, id string) { e.db.Ent.StockAlert.UpdateOneID(id).SetLow(false).ExecX(t.Context()) },
		"lost":                         func(e *env, id string) { e.db.Ent.StockAlert.DeleteOneID(id).ExecX(t.Context()) },
	} {
		t.Run(about, func(t *testing.T) {
			e := newEnv(t, channelKind)
			alerts := newStockAlerts(e.db.Ent, lowStock)
			position := int64(0)
			sell := func() {
				position++
				payload, err := json.Marshal(StockChanged{
					ProductID: "prod_1", Delta: -1, AmountAfter: lowStock - position, Position: position, At: time.Now(),
				})
				must(t, err)
				must(t, alerts.handle(t.Context(), Event{ID: fmt.Sprint(position), Kind: KindStockChanged, Payload: payload}))
			}
			sell()
			sell() // finds that the alert is raised
			spoil(e, "var_1")
			known, ok := alerts.sides.Peek("var_1")
			if !ok {
				t.Fatal("what the alert says is not remembered")
			}
			known.found = known.found.Add(-sideAge)
			alerts.sides.Add("var_1", known)
			sell()
			if _, low := e.low()["prod_1"]; !low {
				t.Error("the alert is not raised again")
			}
		})
	}
}

func payloads(events []Event) string {
	text := ""
	for _, event := range events {
		text += string(event.Payload) + "\n"
	}
	return text
}

// The same event at the same time in many consumers counts once; a refund may arrive before the payment.
func TestSalesConcurrentlyAndOutOfOrder(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite": func(testing.TB) string { return "sqlite://:memory:" }, "postgres": testenv.Postgres, "mariadb": testenv.MariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvOn(t, channelKind, url(t))
			keyboard, mouse := e.product(100, 100), e.product(10, 100)
			e.rich(alice)
			kept := e.order(alice, byPoints, line(keyboard, 2), line(mouse, 1))
			returned := e.order(alice, byPoints, line(mouse, 5), line(keyboard, 5))
			e.cancel(alice, returned)
			event := func(kind, orderID string) Event {
				return Event{ID: kind + orderID, Kind: kind, Payload: fmt.Appendf(nil, `{"orderId": %q}`, orderID)}
			}
			handler := sales{e.db.Ent, time.Now}
			must(t, handler.handle(t.Context(), event(commerce.KindOrderRefunded, returned)))
			if sold := e.popular(); len(sold) != 0 {
				t.Errorf("sold %v before anything was paid", sold)
			}
			var wg sync.WaitGroup
			for range 8 {
				for _, ev := range []Event{
					event(commerce.KindOrderPaid, kept), event(commerce.KindOrderPaid, returned),
					event(commerce.KindOrderRefunded, returned),
				} {
					wg.Go(func() {
						err := handler.handle(t.Context(), ev)
						for tries := 0; err != nil && tries < 50; tries++ { // as Retry does after a deadlock
							err = handler.handle(t.Context(), ev)
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			want := map[string]Sales{
				keyboard: {ProductID: keyboard, Orders: 1, Units: 2, RevenueMinor: 200},
				mouse:    {ProductID: mouse, Orders: 1, Units: 1, RevenueMinor: 10},
			}
			if got := e.popular(); !maps.Equal(got, want) {
				t.Errorf("sold %+v, want %+v", got, want)
			}
		})
	}
}

func TestPopularProductsSince(t *testing.T) {
	e := newEnv(t, channelKind)
	ctx := t.Context()
	today := time.Date(2030, 1, 31, 23, 59, 0, 0, time.UTC)
	for i, units := range []int64{5, 7, 3} {
		e.db.Ent.SalesStatistic.Create().SetProductID("a").SetDay(day(today.AddDate(0, 0, -i))).
			SetOrders(1).SetUnits(units).SetRevenueMinor(units).ExecX(ctx)
	}
	e.db.Ent.SalesStatistic.Create().SetProductID("b").SetDay(day(today)).SetOrders(1).SetUnits(6).SetRevenueMinor(1).ExecX(ctx)
	for _, test := range []struct {
		since time.Time
		limit int
		want  []Sales
	}{
		{today, 10, []Sales{{"b", 1, 6, 1}, {"a", 1, 5, 5}}},
		{today.AddDate(0, 0, -1), 1, []Sales{{"a", 2, 12, 12}}},
		{today.AddDate(0, 0, 1), 10, nil},
		{today, 0, nil},
	} {
		got, err := PopularProducts(ctx, e.db.Ent, test.since, test.limit)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("since %s, %d: %v, %v, want %v", test.since, test.limit, got, err, test.want)
		}
	}
}

func TestForgetProcessed(t *testing.T) {
	e := newEnv(t, channelKind)
	now := time.Now()
	e.db.Ent.ProcessedEvent.Create().SetID("old").SetProcessedAt(now.Add(-time.Hour)).ExecX(t.Context())
	e.db.Ent.ProcessedEvent.Create().SetID("new").SetProcessedAt(now).ExecX(t.Context())
	if n, err := ForgetProcessed(t.Context(), e.db.Ent, now.Add(-time.Minute)); n != 1 || err != nil {
		t.Errorf("forgot %d, %v, want the old one", n, err)
	}
}

// While the database is down a message waits; else it goes to the poison topic.
func TestOutageIsNoPoison(t *testing.T) {
	db, err := clients.OpenDatabase(t.Context(), "sqlite://:memory:", clients.DatabaseOptions{})
	must(t, err)
	_, err = db.Migrate(t.Context())
	must(t, err)
	fail := func(err error) error {
		h := waitForDatabase(db.Ent, time.Second)(func(*message.Message) ([]*message.Message, error) { return nil, err })
		_, err = h(message.NewMessage("id", nil))
		return err
	}
	if err := fail(errOnPurpose); waits(err) || !errors.Is(err, errOnPurpose) {
		t.Errorf("with the database up: %v", err)
	}
	must(t, db.Close())
	if err := fail(errOnPurpose); !waits(err) || !errors.Is(err, errOnPurpose) {
		t.Errorf("with the database down: %v", err)
	}
	if err := fail(errPermanent); waits(err) {
		t.Errorf("what no repetition cures: %v", err)
	}
	if err := fail(nil); err != nil {
		t.Errorf("success: %v", err)
	}
	if !waits(context.Canceled) {
		t.Error("the end of the process is poison")
	}
}
