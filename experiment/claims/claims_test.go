package claims_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"holdfast/experiment/claims"
	"holdfast/graph/model"
)

const id = "ord_1"

// Replies and looks of the tests.
var (
	silence    = claims.Reply{Code: claims.NoAnswer}
	timeout    = claims.Reply{Code: "LOCK_TIMEOUT"}
	lost       = claims.Reply{Code: "LOCK_LOST"}
	away       = claims.Reply{Code: "UNAVAILABLE"}
	soldOut    = claims.Reply{Code: "OUT_OF_STOCK"}
	done       = claims.Reply{Object: id}
	again      = claims.Reply{Object: id, Replayed: true}
	taken      = claims.Reply{Object: id, Accepted: true}
	takenAgain = claims.Reply{Object: id, Accepted: true, Replayed: true}

	order         = claims.Reply{Object: id, Status: "PENDING"}
	bought        = claims.Reply{Object: id, Status: "PAID"}
	declined      = claims.Reply{Object: id, Status: "FAILED", Code: "PAYMENT_DECLINED"}
	declinedAgain = claims.Reply{Object: id, Status: "FAILED", Code: "PAYMENT_DECLINED", Replayed: true}
	payLater      = claims.Reply{Object: id, Status: "PENDING", Code: "LOCK_TIMEOUT"} // placed, and the payment not begun
	paying        = claims.Reply{Object: id, Status: "PENDING", Payment: true, Code: "LOCK_LOST"}
	payAway       = claims.Reply{Object: id, Status: "PENDING", Code: "UNAVAILABLE"}
	otherName     = claims.Reply{Object: "ord_2"}
	mismatch      = claims.Reply{Code: "IDEMPOTENCY_MISMATCH"}

	absent   = claims.Found{}
	present  = claims.Found{Applied: true}
	isOpen   = row("PENDING", "", false, false)
	isPaid   = row("PAID", "", false, true)
	isFailed = row("FAILED", "PAYMENT_DECLINED", true, false)
)

func row(status, code string, settled, captured bool) claims.Found {
	return claims.Found{Applied: true, Order: &claims.Order{Status: status, FailureCode: code, Settled: settled, Captured: captured}}
}

// record makes a record of replies and looks.
func record(t *testing.T, events []any) *claims.Record {
	t.Helper()
	r := &claims.Record{}
	for _, e := range events {
		switch e := e.(type) {
		case claims.Reply:
			r.Told(e)
		case claims.Found:
			r.Found(e)
		default:
			t.Fatalf("%T", e)
		}
	}
	return r
}

type (
	story = []any
	wrong struct {
		kind  string
		reply int
	}
)

var (
	paysLater = claims.Request{Object: id, Pays: true, Placed: true}
	followed  = claims.Request{Object: id, Followed: true}
	unmarked  = claims.Request{Object: id, Unmarked: true}
)

// TestFalseAnswersAreFound has each kind of false claim.
func TestFalseAnswersAreFound(t *testing.T) {
	plain, pays := claims.Request{Object: id}, claims.Request{Object: id, Pays: true}
	for _, test := range []struct {
		name    string
		request claims.Request
		story   story
		want    wrong
	}{
		{"success without an effect", plain, story{done, absent}, wrong{claims.Missing, 0}},
		{"success that is gone later", plain, story{done, present, absent}, wrong{claims.Missing, 0}},
		{"success after a silence", plain, story{silence, done, absent}, wrong{claims.Missing, 1}},
		{"accepted and never persisted", plain, story{taken, absent}, wrong{claims.Missing, 0}},
		{"accepted, accepted again and never persisted", plain, story{taken, takenAgain, absent}, wrong{claims.Missing, 1}},
		{"the same under another name", plain, story{otherName, present}, wrong{claims.Missing, 0}},

		{"not started and done", plain, story{timeout, present}, wrong{claims.Phantom, 0}},
		{"not started and done later", plain, story{timeout, absent, present}, wrong{claims.Phantom, 0}},
		{"refused and done", plain, story{soldOut, present}, wrong{claims.Phantom, 0}},
		{"refused and done later", plain, story{soldOut, absent, present}, wrong{claims.Phantom, 0}},
		{"unknown, refused and done", plain, story{away, soldOut, present}, wrong{claims.Phantom, 1}},
		{"not started twice and done", plain, story{timeout, lost, present}, wrong{claims.Phantom, 1}},
		{"not started, and a repeat of something", plain, story{timeout, again, present}, wrong{claims.Phantom, 0}},
		{"refused, and a repeat of something", plain, story{soldOut, again, present}, wrong{claims.Phantom, 0}},
		{"unknown, refused, and a repeat of something", plain, story{silence, soldOut, again, present}, wrong{claims.Phantom, 1}},
		{"not started, and a repeat of something accepted", plain, story{timeout, takenAgain, present}, wrong{claims.Phantom, 0}},
		{"there without a request", plain, story{present}, wrong{claims.Phantom, -1}},

		{"done twice", plain, story{done, done, present}, wrong{claims.Contradiction, 1}},
		{"done, and once more after a look", plain, story{silence, present, done, present}, wrong{claims.Contradiction, 1}},
		{"done, then refused", plain, story{done, soldOut, present}, wrong{claims.Contradiction, 1}},
		{"in the database, then refused", plain, story{silence, present, soldOut, present}, wrong{claims.Contradiction, 1}},
		{"accepted, then refused", plain, story{taken, soldOut, absent}, wrong{claims.Contradiction, 1}},
		{"a repeat of nothing", plain, story{again, present}, wrong{claims.Contradiction, 0}},
		{"another's key", plain, story{silence, mismatch, absent}, wrong{claims.Contradiction, 1}},

		{"paid and not", pays, story{bought, isOpen}, wrong{claims.Missing, 0}},
		{"success of a payment without one", pays, story{order, isOpen}, wrong{claims.Missing, 0}},
		{"paid, then ended", pays, story{bought, row("CANCELLED", "", true, false)}, wrong{claims.Missing, 0}},
		{"placed, then failed", plain, story{order, isFailed}, wrong{claims.Missing, 0}},
		{"failed and paid all the same", pays, story{declined, isPaid}, wrong{claims.Phantom, 0}},
		{"failed and still open", pays, story{declined, isOpen}, wrong{claims.Phantom, 0}},
		{"failed and not given back", pays, story{declined, row("FAILED", "PAYMENT_DECLINED", false, false)}, wrong{claims.Phantom, 0}},
		{"failed and the money kept", pays, story{declined, row("FAILED", "PAYMENT_DECLINED", true, true)}, wrong{claims.Phantom, 0}},
		{"failed for another reason", pays, story{declined, row("FAILED", "INSUFFICIENT_FUNDS", true, false)}, wrong{claims.Contradiction, 0}},
		{"failed and never placed", pays, story{declined, absent}, wrong{claims.Missing, 0}},
		{"payment not started and taken", pays, story{payLater, isPaid}, wrong{claims.Phantom, 0}},
		{"order not started and paid", pays, story{timeout, isPaid}, wrong{claims.Phantom, 0}},
		{"paid, then declined", pays, story{bought, declinedAgain}, wrong{claims.Contradiction, 1}},
		{"not paid by a later request, and paid", paysLater, story{payLater, isPaid}, wrong{claims.Phantom, 0}},
		{"paid by a later request, and not", paysLater, story{bought, isOpen}, wrong{claims.Missing, 0}},
		{"failed by a later request, and paid", paysLater, story{declined, isPaid}, wrong{claims.Phantom, 0}},
		{"placed, followed, and missing", followed, story{order, absent}, wrong{claims.Missing, 0}},
		{"cancelled twice, unmarked, and missing", unmarked, story{timeout, done, absent}, wrong{claims.Missing, 1}},
		{"paid without being asked to", plain, story{order, isPaid}, wrong{claims.Phantom, -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(t, test.story)
			found := r.Check(test.request, claims.Allowed{})
			if len(found) != 1 || found[0].Kind != test.want.kind || found[0].Reply != test.want.reply {
				t.Fatalf("found %+v, want one %+v", found, test.want)
			}
			if !strings.HasSuffix(found[0].Text, ": "+r.String()) {
				t.Errorf("the text %q does not tell the story %q", found[0].Text, r)
			}
		})
	}
}

// TestTrueAnswersAreNot has what a shop may say.
func TestTrueAnswersAreNot(t *testing.T) {
	plain, pays := claims.Request{Object: id}, claims.Request{Object: id, Pays: true}
	for _, test := range []struct {
		name    string
		request claims.Request
		story   story
	}{
		{"nothing", plain, story{absent, absent}},
		{"placed, then paid by another request", followed, story{order, isPaid}},
		{"placed, then failed by another request", followed, story{order, isFailed}},
		{"paid by a later request", paysLater, story{payLater, bought, isPaid}},
		{"declined by a later request", paysLater, story{payAway, declined, isFailed}},
		{"paid, repeated, by a request whose key had failed before", paysLater, story{timeout, claims.Reply{Object: id, Status: "PAID", Replayed: true}, isPaid}},
		{"a key that had failed before", unmarked, story{timeout, again, present}},
		{"success", plain, story{done, present, present}},
		{"success and a repeat", plain, story{done, again, present}},
		{"success without a name", claims.Request{}, story{claims.Reply{Object: "wallet_1"}, claims.Reply{Replayed: true}, present}},
		{"success, then contention", plain, story{done, timeout, away, present}},
		{"accepted", plain, story{taken, present}},
		{"accepted, then persisted", plain, story{taken, again, present}},
		{"accepted, and done by who does not know of it", plain, story{taken, done, present}},
		{"persisted, then accepted anew by a Redis that has forgotten", plain, story{done, taken, present}},
		{"not started", plain, story{timeout, absent, absent}},
		{"not started, then done", plain, story{timeout, lost, done, present}},
		{"refused", plain, story{soldOut, absent}},
		{"refused, then done", plain, story{soldOut, done, present}},
		{"refused, then done after a look", plain, story{soldOut, absent, done, present}},
		{"unknown and done", plain, story{silence, present}},
		{"unknown and not done", plain, story{away, absent}},
		{"unknown and done late", plain, story{away, absent, present}},
		{"unknown, and the repeat did it", plain, story{silence, done, present}},
		{"unknown, and the repeat is one", plain, story{silence, again, present}},
		{"unknown, found, and the repeat is one", plain, story{silence, present, again, present}},
		{"unknown, not found, and the repeat did it", plain, story{silence, absent, done, present}},
		{"unknown, then contention, then a repeat of the first", plain, story{away, timeout, again, present}},
		{"unknown, then refused", plain, story{away, soldOut, absent}},
		{"a failure of the server", plain, story{claims.Reply{Code: "INTERNAL_SERVER_ERROR"}, present}},
		{"a code that nobody has heard of", plain, story{claims.Reply{Code: "WAITING"}, present}},

		{"placed, to be paid later", plain, story{order, isOpen}},
		{"paid", pays, story{bought, isPaid}},
		{"declined", pays, story{declined, isFailed}},
		{"declined, repeated", pays, story{declined, declinedAgain, isFailed}},
		{"placed, payment not begun", pays, story{payLater, isOpen}},
		{"placed, payment not begun, then paid by the repeat", pays, story{payLater, claims.Reply{Object: id, Status: "PAID", Replayed: true}, isPaid}},
		{"placed, payment begun", pays, story{paying, isPaid}},
		{"placed, payment unknown", pays, story{payAway, isPaid}},
		{"placed, payment unknown, then failed", pays, story{payAway, declinedAgain, isFailed}},
		{"unknown and paid", pays, story{silence, isPaid}},
		{"unknown and failed", pays, story{silence, isFailed}},
		{"sold out, then paid", pays, story{soldOut, bought, isPaid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if found := record(t, test.story).Check(test.request, claims.Allowed{}); found != nil {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// TestAcceptedMayBeLost: what only Redis had is lost with it, and nothing else is.
func TestAcceptedMayBeLost(t *testing.T) {
	allowed, request := claims.Allowed{AcceptedLost: true}, claims.Request{Object: id}
	for _, s := range []story{{taken, absent}, {taken, soldOut, absent}, {taken, absent, done, present}, {taken, absent, soldOut, absent}} {
		if found := record(t, s).Check(request, allowed); found != nil {
			t.Errorf("found %+v", found)
		}
	}
	for _, s := range []story{{done, absent}, {taken, again, absent}, {taken, soldOut, present}, {timeout, present}} {
		if found := record(t, s).Check(request, allowed); len(found) != 1 {
			t.Errorf("%v: found %+v", s, found)
		}
	}
}

// TestRetriedByTheShop: a first attempt may find done what it did itself. What the database says counts all the same.
func TestRetriedByTheShop(t *testing.T) {
	allowed, request := claims.Allowed{Retried: true}, claims.Request{Object: id}
	for _, s := range []story{{again, present}, {timeout, again, present}} {
		if found := record(t, s).Check(request, allowed); found != nil {
			t.Errorf("found %+v", found)
		}
	}
	for _, s := range []story{{again, absent}, {timeout, present}, {done, soldOut, present}} {
		if found := record(t, s).Check(request, allowed); len(found) != 1 {
			t.Errorf("%v: found %+v", s, found)
		}
	}
}

func TestOpen(t *testing.T) {
	plain, pays := claims.Request{Object: id}, claims.Request{Object: id, Pays: true}
	for _, test := range []struct {
		request claims.Request
		story   story
		want    bool
	}{
		{plain, story{}, false},
		{plain, story{done}, false},
		{plain, story{timeout}, false},
		{plain, story{taken}, false},
		{plain, story{silence}, true},
		{plain, story{silence, present}, true}, // the customer has not looked
		{plain, story{silence, timeout}, true},
		{plain, story{silence, soldOut}, false},
		{plain, story{silence, again}, false},
		{plain, story{done, silence}, false},
		{plain, story{payAway}, false},
		{pays, story{payAway}, true},
		{pays, story{payLater}, false},
		{pays, story{payAway, bought}, false},
	} {
		if got := record(t, test.story).Open(test.request); got != test.want {
			t.Errorf("%v of %+v: open %t", test.story, test.request, got)
		}
	}
}

func TestLost(t *testing.T) {
	for _, s := range []story{{taken, absent}, {taken, present, absent}} {
		if !record(t, s).Lost() {
			t.Errorf("%v: not lost", s)
		}
	}
	for _, s := range []story{{}, {absent}, {taken}, {taken, present}, {done, absent}, {taken, absent, done}} {
		if record(t, s).Lost() {
			t.Errorf("%v: lost", s)
		}
	}
}

func TestAnswersAreCounted(t *testing.T) {
	r := record(t, story{silence, timeout, absent, done, present})
	if last, ok := r.Last(); r.Answers() != 2 || !ok || last != done {
		t.Errorf("%d answers, the last %+v", r.Answers(), last)
	}
	if _, ok := record(t, story{absent}).Last(); ok {
		t.Error("an answer where none was")
	}
	if text := r.String(); text != "NO_ANSWER, LOCK_TIMEOUT, not in the database, success, in the database" {
		t.Error(text)
	}
}

// TestDocument: the table of docs/api.md says of each code what is checked here.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- claims:begin")
	table, _, _ = strings.Cut(table, "<!-- claims:end -->")
	names := map[string]claims.Claim{"refused": claims.Refused, "not started": claims.NotStarted, "unknown": claims.Unknown}
	said := map[string]bool{claims.NoAnswer: true}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(cells[2]), ":")
		claim, known := names[name]
		if !known {
			t.Errorf("%q is no claim", name)
		}
		for _, code := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			if !claims.Listed(code[1]) || claims.Of(code[1]) != claim {
				t.Errorf("%s is not %s", code[1], name)
			}
			said[code[1]] = true
		}
	}
	for _, code := range claims.Codes() {
		if !said[code] {
			t.Errorf("docs/api.md does not tell what %s says", code)
		}
	}
}

// documented finds the codes in the first column of the tables in docs/api.md.
var documented = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|")

// TestEveryCodeIsAClaim: a code that is new has to say what it claims.
func TestEveryCodeIsAClaim(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := []string{claims.NoAnswer}
	for _, code := range model.AllErrorCode {
		codes = append(codes, string(code))
	}
	found := documented.FindAllStringSubmatch(string(text), -1)
	if len(found) < 10 {
		t.Fatalf("%d codes in docs/api.md", len(found))
	}
	for _, match := range found {
		codes = append(codes, match[1])
	}
	for _, code := range codes {
		if !claims.Listed(code) {
			t.Errorf("%s: it is not known what it says about the request", code)
		}
	}
}
