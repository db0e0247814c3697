package e2e

import (
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql"

	"holdfast/clients"
	"holdfast/ent/paymentattempt"
)

// TestAdministration uses the administration of a development server: signed out, as a customer, and as an administrator who finds and
// refunds orders, keeps products, coupons and customers, and looks after the shop. By mouse, by keyboard, on a phone, in the dark.
func TestAdministration(t *testing.T) {
	s := browserScript(t, "tests/admin.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development())
	// The payment of the newest order becomes one that the job sweep has failed to end six times.
	stick := func() {
		db, err := clients.OpenDatabase(t.Context(), stores.database, clients.DatabaseOptions{MaxOpen: 1})
		must(t, err)
		newest, err := db.Ent.PaymentAttempt.Query().Order(paymentattempt.ByCreatedAt(sql.OrderDesc())).First(t.Context())
		must(t, err)
		must(t, newest.Update().SetStatus(paymentattempt.StatusUNKNOWN).SetLookAt(time.Now().Add(time.Hour)).SetLooks(6).
			SetLastError("the gateway does not answer").Exec(t.Context()))
		must(t, db.Close())
	}
	s.run(t, 10*time.Minute, stick, server.url, "--admin", adminToken(t, stores), "--customer", customerToken(t, stores))
	server.stop()
}

// TestAdministrationAfterMistakes does what goes wrong: addresses without a meaning, answers that were lost, questions that nobody answers.
func TestAdministrationAfterMistakes(t *testing.T) { administer(t, "tests/admin-mistakes.mjs") }

// TestAdministrationOfTheCatalogue keeps variants and categories, finds them named where they are ordered and missed, and goes on after faults.
func TestAdministrationOfTheCatalogue(t *testing.T) { administer(t, "tests/admin-catalogue.mjs") }

// administer runs a script against a shop that has nothing but fresh demo data.
func administer(t *testing.T, path string) {
	t.Helper()
	s := browserScript(t, path)
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development())
	s.run(t, 10*time.Minute, nil, server.url, "--admin", adminToken(t, stores), "--customer", customerToken(t, stores))
	server.stop()
}

// TestAdministrationShowsLocks holds the database up, so that a lock is held and waited for, until the page shows it.
func TestAdministrationShowsLocks(t *testing.T) {
	s := browserScript(t, "tests/admin.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.development(), set("locks.stock.provider=pubsub", "locks.stock.wait=60s")...)
	release := holdDatabase(t, stores)
	s.run(t, 2*time.Minute, release, server.url, "--admin", adminToken(t, stores), "--customer", customerToken(t, stores), "--mode", "locks")
	server.stop()
}

// TestAdministrationInProduction: the page comes without a token, and asks for one.
func TestAdministrationInProduction(t *testing.T) {
	s := browserScript(t, "tests/admin.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.production(), set("profile=production", "log.format=text")...)
	token := func(flags ...string) string {
		return strings.TrimSpace(command(t, stores.production(), append([]string{"token", "--user", "alice"}, flags...)...))
	}
	s.run(t, 2*time.Minute, nil, server.url, "--admin", token("--admin"), "--customer", token(), "--mode", "production")
	server.stop()
}

func customerToken(t *testing.T, s stores) string {
	t.Helper()
	return strings.TrimSpace(command(t, s.development(), "token", "--user", "alice"))
}
