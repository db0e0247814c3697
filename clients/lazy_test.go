package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/clients/lazytx"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/changelog"
	"holdfast/internal/testenv"
	"holdfast/lockprovider/ledger"
)

// lazy is a database of PostgreSQL with the balance "stock" of 10, and a count of its round trips.
func lazy(t *testing.T) (db *clients.Database, trips func() int64) {
	t.Helper()
	address, trips := testenv.RoundTrips(t, testenv.Postgres(t))
	db = openMigrated(t, address)
	openStock(t, db, 10)
	return db, trips
}

// entryOf is an entry of the journal that is to be inserted.
func entryOf(tx *ent.Tx, change uuid.UUID) *ent.EntryCreateBulk {
	return tx.Entry.CreateBulk(tx.Entry.Create().SetBalance(stock).SetChangeID(change).SetDelta(1).SetAmountAfter(1).
		SetKind("test").SetCreatedAt(time.Now()))
}

func addOne(ctx context.Context, tx *ent.Tx) (int, error) {
	return tx.Balance.Update().Where(balance.ID(stock)).AddAmount(1).Save(ctx)
}

func TestLazyStatementsGoWithTheNext(t *testing.T) {
	db, trips := lazy(t)
	err := errors.New("other than one row")
	for range 2 { // the second time, the connection knows the statements
		before := trips()
		tx, terr := db.Ent.Tx(lazytx.Later(t.Context()))
		must(t, terr)
		must(t, entryOf(tx, uuid.New()).Exec(lazytx.Later(t.Context())))
		n, uerr := addOne(lazytx.Expecting(t.Context(), 1, err), tx)
		must(t, uerr)
		if n != 1 {
			t.Errorf("%d rows are told, want those expected", n)
		}
		if sent := trips() - before; sent != 0 {
			t.Errorf("%d round trips, want none yet", sent)
		}
		if got, want := amount(t.Context(), t, tx.Balance), amount(t.Context(), t, db.Ent.Balance)+1; got != want {
			t.Errorf("amount %d, want %d", got, want)
		}
		before = trips()
		must(t, tx.Commit())
		if sent := trips() - before; sent != 1 {
			t.Errorf("%d round trips of COMMIT, want 1", sent)
		}
	}
	if got, entries := amount(t.Context(), t, db.Ent.Balance), db.Ent.Entry.Query().CountX(t.Context()); got != 12 || entries != 2 {
		t.Errorf("amount %d, %d entries, want 12 and 2", got, entries)
	}
}

// The error of a statement is that of the one that it went with, and of a commit if there was none.
func TestLazyStatementsFail(t *testing.T) {
	db, _ := lazy(t)
	twice := uuid.New()
	failing := map[string]struct {
		later func(ctx context.Context, tx *ent.Tx) error
		isIt  func(error) bool
	}{
		"unique": {func(ctx context.Context, tx *ent.Tx) error {
			must(t, entryOf(tx, twice).Exec(lazytx.Later(ctx)))
			return entryOf(tx, twice).Exec(lazytx.Later(ctx))
		}, ledger.IsConstraint},
		"check": {func(ctx context.Context, tx *ent.Tx) error {
			_, err := tx.Balance.Update().Where(balance.ID(stock)).SetAmount(-1).Save(lazytx.Expecting(ctx, 1, errNotOne))
			return err
		}, ledger.IsConstraint},
		"another number of rows": {func(ctx context.Context, tx *ent.Tx) error {
			_, err := tx.Balance.Update().Where(balance.ID("other")).AddAmount(1).Save(lazytx.Expecting(ctx, 1, errNotOne))
			return err
		}, func(err error) bool { return errors.Is(err, errNotOne) }},
	}
	next := map[string]func(ctx context.Context, tx *ent.Tx) error{
		"query":  func(ctx context.Context, tx *ent.Tx) error { _, err := tx.Balance.Query().All(ctx); return err },
		"write":  func(ctx context.Context, tx *ent.Tx) error { _, err := addOne(ctx, tx); return err },
		"commit": func(_ context.Context, tx *ent.Tx) error { return tx.Commit() },
	}
	for what, fails := range failing {
		for by, flush := range next {
			t.Run(what+" by "+by, func(t *testing.T) {
				tx, err := db.Ent.Tx(lazytx.Later(t.Context()))
				must(t, err)
				_, err = addOne(lazytx.Expecting(t.Context(), 1, errNotOne), tx)
				must(t, err)
				must(t, fails.later(t.Context(), tx))
				if err := flush(t.Context(), tx); !fails.isIt(err) {
					t.Errorf("error %v", err)
				}
				if by != "commit" {
					if err := tx.Commit(); err == nil {
						t.Error("committed")
					}
				}
				if got := amount(t.Context(), t, db.Ent.Balance); got != 10 {
					t.Errorf("amount %d, want 10: all is rolled back", got)
				}
			})
		}
	}
}

var errNotOne = errors.New("not one row")

func TestLazyTransactionsOfNothing(t *testing.T) {
	db, trips := lazy(t)
	amount(t.Context(), t, db.Ent.Balance) // a connection is open
	before := trips()
	tx, err := db.Ent.Tx(lazytx.Later(t.Context()))
	must(t, err)
	must(t, tx.Commit())
	tx, err = db.Ent.Tx(lazytx.Later(t.Context()))
	must(t, err)
	must(t, entryOf(tx, uuid.New()).Exec(lazytx.Later(t.Context())))
	must(t, tx.Rollback())
	if sent := trips() - before; sent != 0 {
		t.Errorf("%d round trips, want none", sent)
	}
	tx, err = db.Ent.Tx(lazytx.Later(t.Context()))
	must(t, err)
	must(t, entryOf(tx, uuid.New()).Exec(lazytx.Later(t.Context())))
	must(t, tx.Commit())
	if entries := db.Ent.Entry.Query().CountX(t.Context()); entries != 1 {
		t.Errorf("%d entries, want the one that was committed", entries)
	}
}

// A statement that is not marked, and one in a transaction that is not, is done at once. Its rows are the same as ever.
func TestLazyRowsAreTheSame(t *testing.T) {
	db, _ := lazy(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	row := func(c *ent.ChangeLogClient) *ent.ChangeLog {
		return c.Create().SetChangeID(uuid.New()).SetFamily("STOCK").SetKind("k").SetStrategy("lua").SetPayload(`{"a": "ä"}`).
			SetPayloadHash("").SetCreatedAt(at).SaveX(lazytx.Later(t.Context()))
	}
	usual := row(db.Ent.ChangeLog)
	tx, err := db.Ent.Tx(lazytx.Later(t.Context()))
	must(t, err)
	with := func(c *ent.ChangeLogClient) *ent.ChangeLog {
		found, err := c.Query().Where(changelog.ID(usual.ID)).Only(lazytx.Later(t.Context())) // a query does not wait
		must(t, err)
		return found
	}
	first, second := with(tx.ChangeLog), with(tx.ChangeLog)
	must(t, tx.Commit())
	for _, found := range []*ent.ChangeLog{first, second, with(db.Ent.ChangeLog)} {
		if got, want := inJSON(t, found), inJSON(t, usual); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if found.CreatedAt.Location() != time.UTC {
			t.Errorf("zone %s", found.CreatedAt.Location())
		}
	}
}

func inJSON(t *testing.T, row *ent.ChangeLog) string {
	t.Helper()
	body, err := json.Marshal(row)
	must(t, err)
	return string(body)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
