package clients

import (
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"holdfast/ent"
	"holdfast/ent/changelog"
	"holdfast/ent/entry"
	"holdfast/internal/testenv"
)

func TestSameForAny(t *testing.T) {
	texts := func(list ...string) (array []pgtype.Text) {
		for _, s := range list {
			array = append(array, pgtype.Text{String: s, Valid: true})
		}
		return array
	}
	numbers := func(list ...int64) (array []pgtype.Int8) {
		for _, n := range list {
			array = append(array, pgtype.Int8{Int64: n, Valid: true})
		}
		return array
	}
	for _, test := range []struct {
		query string
		args  []any
		want  string
		now   []any
	}{
		{`SELECT "id" FROM "balances" WHERE "id" = $1`, []any{"a"}, "", nil},
		{`SELECT "id" FROM "balances" WHERE "id" IN ($1)`, []any{"a"}, `SELECT "id" FROM "balances" WHERE "id" = ANY($1)`, []any{texts("a")}},
		{
			`UPDATE "t" SET "at" = $1 WHERE "id" IN ($2, $3) AND "kind" NOT IN ($4, $5) AND "x" = $6`,
			[]any{0, 1, 2, "a", "b", 3},
			`UPDATE "t" SET "at" = $1 WHERE "id" = ANY($2) AND "kind" <> ALL($3) AND "x" = $4`,
			[]any{0, numbers(1, 2), texts("a", "b"), 3},
		},
		{`SELECT 1 WHERE a IN ($2, $3) AND b = $1 AND c = $1`, []any{1, 2, 3}, `SELECT 1 WHERE a = ANY($1) AND b = $2 AND c = $2`, []any{numbers(2, 3), 1}},
		{`SELECT 1 WHERE a IN ($1, lower($2))`, []any{1, 2}, "", nil},
		{`SELECT 1 WHERE a IN (SELECT b FROM c WHERE d = $1)`, []any{1}, "", nil},
		{
			`INSERT INTO "entries" ("balance", "delta") VALUES ($1, $2), ($3, $4) RETURNING "id"`,
			[]any{"a", 1, "b", 2},
			`INSERT INTO "entries" ("balance", "delta") SELECT * FROM unnest($1::text[], $2::bigint[]) RETURNING "id"`,
			[]any{texts("a", "b"), numbers(1, 2)},
		},
		{
			`INSERT INTO "entries" ("balance") VALUES ($1), ($2) ON CONFLICT ("id") DO UPDATE SET "delta" = $3`,
			[]any{"a", "b", 7},
			`INSERT INTO "entries" ("balance") SELECT * FROM unnest($1::text[]) ON CONFLICT ("id") DO UPDATE SET "delta" = $2`,
			[]any{texts("a", "b"), 7},
		},
		{`INSERT INTO "entries" ("balance", "delta") VALUES ($1, $2)`, []any{"a", 1}, "", nil},
		{`INSERT INTO "entries" ("balance", "delta") VALUES ($1, $2), ($3, DEFAULT)`, []any{"a", 1, "b"}, "", nil},
		{
			`INSERT INTO "t" ("a", "b") VALUES ($1, NULL), ($2, $3)`,
			[]any{"a", "b", true},
			`INSERT INTO "t" ("a", "b") SELECT * FROM unnest($1::text[], $2::boolean[])`,
			[]any{texts("a", "b"), []pgtype.Bool{{}, {Bool: true, Valid: true}}},
		},
		{`INSERT INTO "t" ("a", "json") VALUES ($1, $2), ($3, $4)`, []any{"a", []byte("1"), "b", []byte("2")}, "", nil},
		{`INSERT INTO "t" ("a", "b") VALUES ($1, $2), ($3)`, []any{"a", "b", "c"}, "", nil},
		{`SELECT 1 WHERE a IN ($1, $2)`, []any{[]byte("a"), []byte("b")}, "", nil},
		{`SELECT 1 WHERE a IN ($1, $2)`, []any{"a", 1}, "", nil},
		{`INSERT INTO other (a) VALUES ('$', 'IN ($'), ('$9')`, []any{1}, "", nil},
	} {
		args := make([]driver.NamedValue, len(test.args))
		for i, v := range test.args {
			args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
		}
		if test.want == "" {
			test.want, test.now = test.query, test.args
		}
		query, rewritten := sameForAny(test.query, args)
		var now []any
		for i, a := range rewritten {
			if now = append(now, a.Value); a.Ordinal != i+1 {
				t.Errorf("%s: argument %d has the number %d", query, i+1, a.Ordinal)
			}
		}
		if query != test.want || !reflect.DeepEqual(now, test.now) {
			t.Errorf("%s\ngot  %s %v\nwant %s %v", test.query, query, now, test.want, test.now)
		}
	}
}

// TestStatementsAreTheSame has PostgreSQL know few statements, whatever the numbers of rows and values, and writes and finds the same
// rows as ever, of all types and with columns that some rows lack.
func TestStatementsAreTheSame(t *testing.T) {
	address := testenv.Postgres(t)
	db, err := OpenDatabase(t.Context(), address, DatabaseOptions{MaxOpen: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Ent.User.Create().SetID("u").SetName("u").ExecX(t.Context())
	writeAndFind(t, db)
	rows, err := db.Ent.QueryContext(t.Context(), "SELECT statement FROM pg_prepared_statements")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var statements []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, text)
	}
	// Of each of three tables, one to insert a row and one to insert several; four queries; and those of the start.
	if len(statements) > 20 || rows.Err() != nil {
		t.Errorf("%d statements, %v: %.5000q", len(statements), rows.Err(), statements)
	}
}

// TestPlansOfArraysUseIndexes has PostgreSQL plan without the values, as it does once a connection has run a statement some times, on a
// table that was never analysed.
func TestPlansOfArraysUseIndexes(t *testing.T) {
	db, err := OpenDatabase(t.Context(), testenv.Postgres(t), DatabaseOptions{MaxOpen: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"ALTER TABLE change_logs SET (autovacuum_enabled = off)",
		`INSERT INTO change_logs (change_id, family, kind, strategy, payload, payload_hash, created_at)
			SELECT gen_random_uuid(), 'STOCK', 'k', 'lua', repeat('p', 400), repeat('h', 64), now() FROM generate_series(1, 10000)`,
		"SET plan_cache_mode = force_generic_plan",
		"PREPARE by_change (uuid[]) AS SELECT payload_hash FROM change_logs WHERE change_id = ANY($1)",
		"PREPARE by_id (bigint[]) AS UPDATE change_logs SET published_at = now() WHERE id = ANY($1)",
	} {
		if _, err := db.Ent.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for _, prepared := range []string{"by_change", "by_id"} {
		if plan := planOf(t, db, prepared); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index Cond") {
			t.Errorf("%s:\n%s", prepared, plan)
		}
	}
}

// planOf returns how PostgreSQL executes a statement that was prepared with one array.
func planOf(t *testing.T, db *Database, prepared string) string {
	t.Helper()
	rows, err := db.Ent.QueryContext(t.Context(), "EXPLAIN EXECUTE "+prepared+"('{}')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// TestStatementsWithoutTypes has pgx send what the server has not told the types of, as some poolers need it.
func TestStatementsWithoutTypes(t *testing.T) {
	address := testenv.Postgres(t)
	db, err := OpenDatabase(t.Context(), address, DatabaseOptions{MaxOpen: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Ent.User.Create().SetID("u").SetName("u").ExecX(t.Context())
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	for _, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			query.Set("default_query_exec_mode", mode)
			at.RawQuery = query.Encode()
			db, err := OpenDatabase(t.Context(), at.String(), DatabaseOptions{MaxOpen: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			writeAndFind(t, db)
		})
	}
}

// writeAndFind writes rows of all types, with columns that some of them lack, in several numbers, and finds them.
func writeAndFind(t *testing.T, db *Database) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	dice := rand.New(rand.NewPCG(1, 1))
	for _, n := range dice.Perm(40) {
		var logs []*ent.ChangeLogCreate
		var entries []*ent.EntryCreate
		var orders []*ent.OrderCreate
		var ids []uuid.UUID
		for i := range n + 1 {
			id := uuid.New()
			ids = append(ids, id)
			log := db.Ent.ChangeLog.Create().SetChangeID(id).SetFamily("STOCK").SetKind("k'").SetStrategy("lua").
				SetPayload(fmt.Sprintf(`{"n": %d, "quote": "\""}`, i)).SetPayloadHash("").SetCreatedAt(now)
			if i%3 == 1 {
				log.SetPublishedAt(now.Add(time.Second))
			}
			logs = append(logs, log)
			entries = append(entries, db.Ent.Entry.Create().SetBalance("b").SetChangeID(id).SetDelta(int64(i)).SetAmountAfter(-1).
				SetKind("k").SetCreatedAt(now))
			orders = append(orders, db.Ent.Order.Create().SetID("ord_"+id.String()).SetUserID("u").SetStatus("PENDING").SetSubtotalMinor(1).
				SetDiscountMinor(0).SetTotalMinor(1).SetCurrency("USD").SetExpiresAt(now).SetUnattended(i%2 == 0))
		}
		written := db.Ent.ChangeLog.CreateBulk(logs...).SaveX(t.Context())
		db.Ent.Entry.CreateBulk(entries...).ExecX(t.Context())
		db.Ent.Order.CreateBulk(orders...).ExecX(t.Context())
		found := db.Ent.ChangeLog.Query().Where(changelog.ChangeIDIn(ids...)).Order(changelog.ByID()).AllX(t.Context())
		if len(found) != n+1 {
			t.Fatalf("%d rows, want %d", len(found), n+1)
		}
		for i, row := range found {
			same := row.ID == written[i].ID && row.ChangeID == ids[i] && row.CreatedAt.Equal(now) && row.Payload == written[i].Payload
			if published := row.PublishedAt != nil; !same || published != (i%3 == 1) {
				t.Errorf("row %d of %d: %+v, want %+v", i, n+1, row, written[i])
			}
		}
		for i, row := range db.Ent.Entry.Query().Where(entry.ChangeIDIn(ids...)).Order(entry.ByID()).AllX(t.Context()) {
			if row.Delta != int64(i) || row.ChangeID != ids[i] {
				t.Errorf("entry %d: %+v", i, row)
			}
		}
		kinds := db.Ent.ChangeLog.Query().Where(
			changelog.ChangeIDIn(ids...), changelog.KindIn("k'", "other"), changelog.CreatedAtIn(now, now.Add(time.Hour)),
		).CountX(t.Context())
		if deltas := db.Ent.Entry.Query().Where(entry.ChangeIDIn(ids...), entry.DeltaNotIn(0, -1)).CountX(t.Context()); kinds != n+1 || deltas != n {
			t.Errorf("found by kinds and times %d, want %d; by numbers %d, want %d", kinds, n+1, deltas, n)
		}
	}
}
