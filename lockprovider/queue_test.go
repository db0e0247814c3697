package lockprovider_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"holdfast/clients"
	"holdfast/ent"
	"holdfast/ent/entry"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// shop is a stock that several instances sell under the strategy queue.
type shop struct {
	t         *testing.T
	db        *clients.Database
	ledger    *lockprovider.Ledger
	redis     redis.UniversalClient
	stock     string // its balance
	instances []*lockprovider.Providers
}

// newShop has two instances, and no worker that serves yet. batch is the most changes that a worker takes at a time.
func newShop(t *testing.T, url string, kind redisKind, stock, batch int64) *shop {
	t.Helper()
	s := &shop{t: t, db: openDatabase(t, url), stock: lockprovider.StockKey("scarce")}
	s.ledger = lockprovider.NewLedger(s.db.Ent, s.db.Dialect, nil, lockprovider.LedgerSettings{TxRetries: 5})
	tx, err := s.db.Ent.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Open(t.Context(), tx, map[string]lockprovider.Bounds{
		s.stock: {Opening: stock, Ceiling: lockprovider.MaxAmount},
	}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	urls, _ := kind.start(t)
	connect := func() redis.UniversalClient {
		client := connectTo(urls)(t)[0]
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	s.redis = connect()
	families := map[lockprovider.Family]lockprovider.FamilyConfig{}
	for _, f := range lockprovider.Families {
		families[f] = lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}
	}
	families[lockprovider.Stock] = lockprovider.FamilyConfig{Strategy: lockprovider.Queue, Settings: lockprovider.Settings{
		Wait: longEnough, Poll: 20 * time.Millisecond,
		Pipeline: lockprovider.PipelineSettings{RequestTimeout: testenv.Scaled(30 * time.Second), PersistWait: longEnough, Backlog: 10_000, Remember: time.Hour},
	}}
	for range 2 {
		providers, err := lockprovider.Build(lockprovider.Deps{
			Ledger: s.ledger, Redis: connect(), Instance: uuid.NewString(),
			Worker: lockprovider.WorkerSettings{Batch: batch, Block: block, Retry: 20 * time.Millisecond},
		}, families)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := providers.Close(); err != nil {
				t.Error(err)
			}
		})
		s.instances = append(s.instances, providers)
	}
	return s
}

// serve runs a worker on each of some instances until stop is called, at the latest when the test ends.
func (s *shop) serve(instances ...*lockprovider.Providers) (stop func()) {
	var stops []func()
	for _, providers := range instances {
		stops = append(stops, inBackground(providers))
	}
	stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) queue(i int) lockprovider.Ticketer {
	s.t.Helper()
	queue, ok := lockprovider.As[lockprovider.Ticketer](s.instances[i%len(s.instances)].For(lockprovider.Stock))
	if !ok {
		s.t.Fatal("the stock has no queue")
	}
	return queue
}

// buy is a change that takes one unit.
func (s *shop) buy() lockprovider.Change {
	return lockprovider.Change{
		ID: uuid.New(), Family: lockprovider.Stock, Moves: []lockprovider.Move{{Balance: s.stock, Delta: -1}},
		Record: lockprovider.Record{Kind: "test", Payload: json.RawMessage(`{}`)},
	}
}

// sold are the changes that got a unit, in the order of the journal, and when the last one was.
func (s *shop) sold() (ids []uuid.UUID) {
	s.t.Helper()
	rows, err := s.db.Ent.Entry.Query().Where(entry.Balance(s.stock)).Order(ent.Asc(entry.FieldID)).All(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, row := range rows {
		ids = append(ids, row.ChangeID)
	}
	return ids
}

// place waits until a change does not wait any more. It does not prolong its ticket.
func (s *shop) place(c lockprovider.Change) lockprovider.Position {
	s.t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for ctx := bounded(s.t); ; <-ticker.C {
		place, err := s.queue(0).Look(ctx, c.ID, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if place.State != lockprovider.PositionWaiting && place.State != lockprovider.PositionServing {
			return place
		}
	}
}

// everywhere runs a test of the line with every database and a real Redis, and with what `go run .` uses.
func everywhere(t *testing.T, stock, batch int64, test func(t *testing.T, s *shop)) {
	t.Run("sqlite+embedded", func(t *testing.T) { test(t, newShop(t, "sqlite://:memory:", embedded, stock, batch)) })
	for _, db := range databases {
		t.Run(db.name+"+redis", func(t *testing.T) { test(t, newShop(t, db.url(t), realRedis, stock, batch)) })
	}
}

// Who is first in line is served first, whichever instance he came to and whichever serves: no inversion, over batches,
// while others join, and when another instance goes on serving.
func TestFirstComeFirstServed(t *testing.T) {
	const waiting, joining, stock = 60, 60, 100 // in batches of 7
	everywhere(t, stock, 7, func(t *testing.T, s *shop) {
		var queue []lockprovider.Change
		join := func(n int) {
			for range n {
				c := s.buy()
				place, err := s.queue(len(queue)).Enter(t.Context(), c, time.Hour)
				if err != nil && !errors.Is(err, lockprovider.ErrInsufficient) { // told at the door
					t.Fatal(err)
				}
				if len(queue) < waiting && place.Number != len(queue)+1 {
					t.Errorf("the place of number %d is %d", len(queue)+1, place.Number)
				}
				queue = append(queue, c)
			}
		}
		join(waiting)
		stop := s.serve(s.instances...) // many batches, the last of them not full
		join(joining / 2)
		s.place(queue[waiting/2])
		stop()
		s.serve(s.instances[1])
		join(joining / 2)
		s.place(queue[stock-1])
		var want []uuid.UUID
		for _, c := range queue[:stock] {
			want = append(want, c.ID)
		}
		if got := s.sold(); !slices.Equal(got, want) {
			t.Errorf("served in the order\n%v, want that of the line\n%v", got, want)
		}
		for _, c := range queue[stock:] {
			if place := s.place(c); place.State != lockprovider.PositionUnknown && !errors.Is(place.Reason, lockprovider.ErrInsufficient) {
				t.Errorf("who came after the last unit: %+v", place)
			}
		}
	})
}

// When the last unit is gone, all who still stand in line are told so, whichever instance they came to.
func TestSoldOutIsTold(t *testing.T) {
	const waiting, stock = 150, 20 // few enough for the race detector and a Redis in this process to take no part in the time
	everywhere(t, stock, 64, func(t *testing.T, s *shop) {
		ctx := bounded(t)
		answers := make(chan error, waiting)
		for i := range waiting {
			provider := s.instances[i%2].For(lockprovider.Stock)
			go func() {
				_, err := provider.Execute(ctx, s.buy())
				answers <- err
			}()
		}
		line := "{holdfast:queue:stock:0}:line"
		for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
			n, err := s.redis.XLen(ctx, line).Result()
			if err != nil {
				t.Fatal(err)
			}
			if n == waiting {
				ticker.Stop()
				break
			}
			select {
			case err := <-answers:
				t.Fatalf("answered before anybody serves: %v", err)
			default:
			}
		}
		s.serve(s.instances...)
		sold, refused := 0, 0
		for range waiting {
			select {
			case err := <-answers:
				switch {
				case err == nil:
					sold++
				case errors.Is(err, lockprovider.ErrInsufficient):
					refused++
				default:
					t.Errorf("answer %v", err)
				}
			case <-ctx.Done():
				t.Fatalf("%d sold, %d refused, the others wait for ever", sold, refused)
			}
		}
		if sold != stock || refused != waiting-stock {
			t.Errorf("%d sold and %d refused, want %d and %d", sold, refused, stock, waiting-stock)
		}
	})
}

// A ticket that nobody asks for holds up nobody, and buys nothing; each look prolongs it.
func TestTicketsExpire(t *testing.T) {
	everywhere(t, 10, 10, func(t *testing.T, s *shop) {
		ctx := t.Context()
		gone, back, there := s.buy(), s.buy(), s.buy()
		const past, future = -time.Second, time.Hour
		for _, c := range []lockprovider.Change{gone, back, there} {
			keep := past
			if c.ID == there.ID {
				keep = future
			}
			if place, err := s.queue(0).Enter(ctx, c, keep); err != nil || place.State != lockprovider.PositionWaiting {
				t.Fatalf("%+v, %v", place, err)
			}
		}
		if place, err := s.queue(1).Look(ctx, back.ID, future); err != nil || place.Number != 2 {
			t.Errorf("%+v, %v, want the second place", place, err)
		}
		s.serve(s.instances...)
		for _, want := range []struct {
			lockprovider.Change
			lockprovider.PositionState
		}{{gone, lockprovider.PositionExpired}, {back, lockprovider.PositionDone}, {there, lockprovider.PositionDone}} {
			if place := s.place(want.Change); place.State != want.PositionState {
				t.Errorf("%+v, want %s", place, want.PositionState)
			}
		}
		want := []uuid.UUID{back.ID, there.ID}
		if got := s.sold(); !slices.Equal(got, want) {
			t.Errorf("sold to %v, want %v", got, want)
		}
		// Who comes back after all joins anew.
		if _, err := s.queue(1).Enter(ctx, gone, future); err != nil {
			t.Fatal(err)
		}
		if place := s.place(gone); place.State != lockprovider.PositionDone {
			t.Errorf("%+v, want it done", place)
		}
	})
}
