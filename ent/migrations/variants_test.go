package migrations

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
)

// What a shop had before there were variants: two products, one of them with a limit and an imported stock, the other off sale, and
// everything that names them.
const beforeVariants = `
INSERT INTO users (id, name, created_at) VALUES ('alice', 'Alice', '2030-01-01 00:00:00');
INSERT INTO products (id, sku, name, price_minor, currency, imported_stock, imports, limit_quantity, limit_hours, archived_at, handle, vendor, product_type, created_at, updated_at) VALUES
	('prod_a', 'A-1', 'Lamp', 1200, 'USD', 7, 3, 5, 24, NULL, 'lamp', 'Lux', 'Light', '2030-01-01 00:00:00', '2030-01-02 00:00:00'),
	('prod_b', 'B-1', 'Desk', 9900, 'USD', NULL, 0, 0, 0, '2030-01-03 00:00:00', NULL, '', '', '2030-01-01 00:00:00', '2030-01-03 00:00:00');
INSERT INTO balances (id, family, amount, floor, ceiling, opening, version, applied) VALUES
	('stock:product:prod_a', 'STOCK', 4, 0, 1000, 7, 2, 2), ('stock:product:prod_b', 'STOCK', 9, 0, 1000, 9, 0, 0),
	('stock:buyer:prod_a:alice:24h21915', 'STOCK', 3, 0, 1000, 0, 2, 2);
INSERT INTO orders (id, user_id, status, subtotal_minor, discount_minor, total_minor, currency, expires_at, created_at, updated_at) VALUES
	('ord_1', 'alice', 'PAID', 2400, 0, 2400, 'USD', '2030-01-01 00:00:00', '2030-01-01 00:00:00', '2030-01-01 00:00:00');
INSERT INTO order_lines (id, order_id, product_id, position, quantity, unit_price_minor, limit_balance, returned) VALUES
	(1, 'ord_1', 'prod_a', 0, 2, 1200, 'stock:buyer:prod_a:alice:24h21915', 1), (2, 'ord_1', 'prod_b', 1, 1, 9900, NULL, 0);
INSERT INTO refunds (id, order_id, method, status, amount_minor, currency, restock, reason, administrator, created_at, updated_at) VALUES
	('re_1', 'ord_1', 'POINTS', 'REFUNDED', 1200, 'USD', true, 'broken', 'root', '2030-01-01 00:00:00', '2030-01-01 00:00:00');
INSERT INTO refund_lines (id, refund_id, order_line_id, product_id, quantity, amount_minor) VALUES (1, 're_1', 1, 'prod_a', 1, 1200);
INSERT INTO holds (id, user_id, expires_at, next_attempt_at, created_at, updated_at) VALUES
	('hold_1', 'alice', '2030-01-01 00:00:00', '2030-01-01 00:00:00', '2030-01-01 00:00:00', '2030-01-01 00:00:00');
INSERT INTO hold_lines (id, hold_id, product_id, position, quantity, limit_balance) VALUES
	(1, 'hold_1', 'prod_a', 0, 1, 'stock:buyer:prod_a:alice:24h21915');
INSERT INTO carts (id, lines_, created_at, updated_at) VALUES
	('c1', '[{"productId":"prod_a","quantity":2},{"productId":"prod_b","quantity":1}]', '2030-01-01 00:00:00', '2030-01-01 00:00:00'),
	('c2', '[]', '2030-01-01 00:00:00', '2030-01-01 00:00:00');
INSERT INTO adjustments (id, change_id, family, subject, delta, administrator, created_at) VALUES
	(1, '00000000-0000-4000-8000-000000000001', 'STOCK', 'prod_a', 2, 'root', '2030-01-01 00:00:00'),
	(2, '00000000-0000-4000-8000-000000000002', 'POINTS', 'alice', 2, 'root', '2030-01-01 00:00:00');
INSERT INTO stock_alerts (id, low, threshold, position, since) VALUES ('prod_a', true, 5, 41, '2030-01-01 00:00:00');
INSERT INTO search_documents (id, product_id, name, price_minor, created_at, version, words) VALUES
	(1, 'prod_a', 'Lamp', 1200, '2030-01-01 00:00:00', 1, ' lamp a 1');`

// TestMigrationMakesVariants: each product has one variant after the migration, of which is what was of the product, and no balance has
// moved.
func TestMigrationMakesVariants(t *testing.T) {
	for dialectName, open := range map[string]func(*testing.T) *sql.DB{
		dialect.SQLite:   func(t *testing.T) *sql.DB { t.Helper(); return openFile(t, filepath.Join(t.TempDir(), "test.db")) },
		dialect.Postgres: openPostgres,
		dialect.MySQL:    openMariaDB,
	} {
		t.Run(dialectName, func(t *testing.T) {
			db := open(t)
			if _, err := apply(t.Context(), db, dialectName, before(t, folders[dialectName], "0029")); err != nil {
				t.Fatal(err)
			}
			lines := map[string]string{dialect.MySQL: "`lines`"}[dialectName]
			if lines == "" {
				lines = `"lines"`
			}
			for statement := range strings.SplitSeq(strings.ReplaceAll(beforeVariants, "lines_", lines), ";\n") {
				if statement = strings.TrimSuffix(strings.TrimSpace(statement), ";"); statement == "" {
					continue
				}
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			if _, err := Apply(t.Context(), db, dialectName); err != nil {
				t.Fatal(err)
			}
			for text, want := range map[string]string{
				`SELECT COUNT(*) FROM product_variants`: "2",
				`SELECT COUNT(*) FROM product_variants WHERE id = 'var_a' AND product_id = 'prod_a' AND sku = 'A-1' AND price_minor = 1200
					AND currency = 'USD' AND imported_stock = 7 AND imports = 3 AND limit_quantity = 5 AND limit_hours = 24 AND position = 0
					AND combination = '' AND option_values IS NULL AND archived_at IS NULL AND version = 1`: "1",
				`SELECT COUNT(*) FROM product_variants WHERE id = 'var_b' AND product_id = 'prod_b' AND imported_stock IS NULL AND archived_at IS NULL`:           "1",
				`SELECT COUNT(*) FROM products WHERE sku = 'A-1' AND max_price_minor = 1200 AND variant_count = 1 AND limit_quantity = 5 AND archived_at IS NULL`: "1",
				`SELECT COUNT(*) FROM products WHERE id = 'prod_b' AND max_price_minor = 9900 AND archived_at IS NOT NULL`:                                        "1",
				`SELECT COUNT(*) FROM products WHERE id = 'prod_a' AND handle = 'lamp' AND vendor = 'Lux' AND product_type = 'Light'`:                             "1",
				// No balance has another key, amount or number of moves.
				`SELECT COUNT(*) FROM balances`: "3",
				`SELECT amount * 100 + applied FROM balances WHERE id = 'stock:product:prod_a'`:                    "402",
				`SELECT amount * 100 + applied FROM balances WHERE id = 'stock:product:prod_b'`:                    "900",
				`SELECT amount * 100 + applied FROM balances WHERE id = 'stock:buyer:prod_a:alice:24h21915'`:       "302",
				`SELECT variant_id FROM order_lines WHERE id = 1 AND returned = 1 AND limit_balance IS NOT NULL`:   "var_a",
				`SELECT variant_id FROM order_lines WHERE id = 2 AND variant_title = '' AND product_id = 'prod_b'`: "var_b",
				`SELECT variant_id FROM refund_lines WHERE order_line_id = 1 AND amount_minor = 1200`:              "var_a",
				`SELECT variant_id FROM hold_lines WHERE product_id = 'prod_a' AND limit_balance IS NOT NULL`:      "var_a",
				`SELECT variant_id FROM adjustments WHERE id = 1 AND subject = 'prod_a'`:                           "var_a",
				`SELECT COUNT(*) FROM adjustments WHERE id = 2 AND variant_id IS NULL`:                             "1",
				`SELECT id FROM stock_alerts`:                                                            "var_a",
				`SELECT COUNT(*) FROM search_documents WHERE version = 1`:                                "1",
				"SELECT " + lines + " FROM carts WHERE id = 'c2'":                                        "[]",
				"SELECT REPLACE(" + asText(dialectName, lines) + ", ' ', '') FROM carts WHERE id = 'c1'": `[{"variantId":"var_a","quantity":2},{"variantId":"var_b","quantity":1}]`,
			} {
				if got := query(t, db, text); got != want && !sameLines(got, want) {
					t.Errorf("%s:\n%s, want %s", text, got, want)
				}
			}
			_, err := db.ExecContext(t.Context(), `INSERT INTO product_variants (id, product_id, sku, price_minor, currency, position, created_at, updated_at)
				VALUES ('var_c', 'prod_a', 'A-2', 1, 'USD', 1, '2030-01-01 00:00:00', '2030-01-01 00:00:00')`)
			if err == nil {
				t.Error("a product has two variants without options")
			}
		})
	}
}

// asText is a column of JSON as text.
func asText(dialectName, column string) string {
	if dialectName == dialect.Postgres {
		return column + "::text"
	}
	return column
}

// sameLines compares the lines of a cart, whose fields PostgreSQL sorts.
func sameLines(got, want string) bool {
	return strings.HasPrefix(want, `[{"`) && got == `[{"quantity":2,"variantId":"var_a"},{"quantity":1,"variantId":"var_b"}]`
}
