package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/auth"
)

// TestBadInput sends what clients get wrong to the real server. Each mistake has its code, the shop stays as it was,
// and the server never logs an error of its own.
func TestBadInput(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			noLeaks(t)
			s := kind.open(t)
			newStickler(t, boot(t, s.production())).run(t)
			s.audit(t)
		})
	}
}

// stickler is a shop, and what there is in it to get wrong.
type stickler struct {
	server                         *process
	root, alice                    user
	product, coupon, stale, future string
	purse, euros, bobs             string
}

func newStickler(t *testing.T, server *process) *stickler {
	t.Helper()
	browser := browser(t)
	c := &stickler{
		server: server, root: signIn(t, browser, "root", true, server), alice: signIn(t, browser, "alice", false, server),
	}
	c.product, c.coupon = c.root.product(t, 250, 10), c.root.coupon(t, 10, 1)
	c.purse, c.bobs = c.root.account(t, "alice", 1000), c.root.account(t, "bob", 1000)
	c.euros = c.root.do(t, "accountOpen", object{
		"name": "Holidays", "currency": "EUR", "userId": "user_alice", "openingMinor": "1000",
	}).Account.ID
	coupon := func(from, until string) string {
		input := object{"name": "Too late", "discountKind": "FIXED", "discountValue": "50", "quota": "10"}
		if from != "" {
			input["validFrom"] = from
		}
		if until != "" {
			input["validUntil"] = until
		}
		return c.root.do(t, "couponCreate", input).Coupon.ID
	}
	c.stale, c.future = coupon("", "2020-01-01T00:00:00Z"), coupon("2099-01-01T00:00:00Z", "")
	return c
}

func (c *stickler) run(t *testing.T) {
	t.Helper()
	t.Run("refused by the shop", c.refusals)
	t.Run("not in the schema", c.protocol)
	t.Run("tokens", c.tokens)
	wantEqual(t, "stock", c.root.stock(t, c.product), 10)
	wantEqual(t, "issued", c.root.issued(t, c.coupon), 0)
	wantEqual(t, "points", c.alice.points(t), 0)
	wantEqual(t, "account", c.alice.balance(t, c.purse), 1000)
	wantEqual(t, "foreign account", c.root.balance(t, c.bobs), 1000)
	if log := c.server.stderr.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the server found itself at fault:\n%s", tail(log))
	}
}

// with is an input in which some fields are others.
func with(input object, fields object) object {
	for name, value := range fields {
		input[name] = value
	}
	return input
}

// refusals are answered with userErrors.
func (c *stickler) refusals(t *testing.T) {
	lines := func(product string, quantity int) object { return buy(product, quantity, "CARD") }
	for _, test := range []struct {
		name, operation string
		input           object
		code, field     string
	}{
		{"unknown product", "placeOrder", lines("prod_unknown", 1), "NOT_FOUND", "input.lines.0.productId"},
		{"quantity 0", "placeOrder", lines(c.product, 0), "INVALID_INPUT", "input.lines.0.quantity"},
		{"negative quantity", "placeOrder", lines(c.product, -1), "INVALID_INPUT", "input.lines.0.quantity"},
		{"huge quantity", "placeOrder", lines(c.product, 1<<31-1), "INVALID_INPUT", "input.lines.0.quantity"},
		{"more than there is", "placeOrder", lines(c.product, 11), "OUT_OF_STOCK", "input.lines.0.quantity"},
		{"no lines", "placeOrder", with(lines("", 1), object{"lines": []object{}}), "INVALID_INPUT", "input.lines"},
		{
			"foreign account to pay", "placeOrder",
			with(lines(c.product, 1), object{"payment": object{"method": "ACCOUNT", "accountId": c.bobs}}),
			"NOT_FOUND", "input.payment.accountId",
		},
		{
			"account of other money to pay", "placeOrder",
			with(lines(c.product, 1), object{"payment": object{"method": "ACCOUNT", "accountId": c.euros}}),
			"INVALID_INPUT", "input.payment.accountId",
		},
		{
			"no account to pay", "placeOrder",
			with(lines(c.product, 1), object{"payment": object{"method": "ACCOUNT"}}),
			"INVALID_INPUT", "input.payment.accountId",
		},
		{
			"account of a card", "placeOrder",
			with(lines(c.product, 1), object{"payment": object{"method": "CARD", "accountId": c.purse}}),
			"INVALID_INPUT", "input.payment.accountId",
		},
		{
			"coupon that nobody holds", "placeOrder",
			with(lines(c.product, 1), object{"couponIssueId": "cpi_unknown"}), "NOT_FOUND", "input.couponIssueId",
		},
		{"not enough points", "placeOrder", buy(c.product, 1, "POINTS"), "INSUFFICIENT_FUNDS", "input.payment"},

		{"expired coupon", "issueCoupon", take(c.stale), "COUPON_NOT_VALID", "input.couponId"},
		{"coupon of the future", "issueCoupon", take(c.future), "COUPON_NOT_VALID", "input.couponId"},
		{"unknown coupon", "issueCoupon", take("coup_unknown"), "NOT_FOUND", "input.couponId"},

		{"no points", "chargePoints", charge(0), "INVALID_INPUT", "input.amount"},
		{"negative points", "chargePoints", charge(-5), "INVALID_INPUT", "input.amount"},

		{"foreign account", "transfer", move(c.bobs, c.purse, 1), "NOT_FOUND", "input.fromAccountId"},
		{"unknown account", "transfer", move(c.purse, "acct_unknown", 1), "NOT_FOUND", "input.toAccountId"},
		{"same account", "transfer", move(c.purse, c.purse, 1), "INVALID_INPUT", "input.toAccountId"},
		{"no money", "transfer", move(c.purse, c.bobs, 0), "INVALID_INPUT", "input.amount.amountMinor"},
		{"negative money", "transfer", move(c.purse, c.bobs, -1), "INVALID_INPUT", "input.amount.amountMinor"},
		{"more money than there is", "transfer", move(c.purse, c.bobs, 1001), "INSUFFICIENT_FUNDS", "input.amount.amountMinor"},
		{"other money", "transfer", move(c.euros, c.bobs, 1), "INVALID_INPUT", "input.amount.currency"},
		{"account of other money", "transfer", move(c.purse, c.euros, 1), "INVALID_INPUT", "input.toAccountId"},
		{
			"no such money", "transfer",
			with(move(c.purse, c.bobs, 1), object{"amount": object{"amountMinor": "1", "currency": "dollars"}}),
			"INVALID_INPUT", "input.amount.currency",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := c.alice.ask(bounded(t), 0, test.operation, test.input)
			must(t, err)
			wantEqual(t, "code", p.code(), test.code)
			if len(p.UserErrors) == 1 {
				wantEqual(t, "field", strings.Join(p.UserErrors[0].Field, "."), test.field)
			}
		})
	}

	t.Run("key used for another request", func(t *testing.T) {
		input := move(c.purse, c.bobs, 1)
		c.alice.do(t, "transfer", input)
		p, err := c.alice.ask(bounded(t), 0, "transfer", with(input, object{"amount": object{"amountMinor": "2", "currency": "USD"}}))
		must(t, err)
		wantEqual(t, "code", p.code(), "IDEMPOTENCY_MISMATCH")
		signIn(t, browser(t), "bob", false, c.server).do(t, "transfer", move(c.bobs, c.purse, 1))
	})
}

// protocol failures are answered with errors.
func (c *stickler) protocol(t *testing.T) {
	for _, test := range []struct {
		name, operation string
		input           any
		code            string
	}{
		{"malformed UUID", "chargePoints", object{"idempotencyKey": "no-uuid", "amount": "1"}, "BAD_USER_INPUT"},
		{"UUID in braces", "chargePoints", object{"idempotencyKey": "{" + key() + "}", "amount": "1"}, "BAD_USER_INPUT"},
		{"no key", "chargePoints", object{"amount": "1"}, "BAD_USER_INPUT GRAPHQL_VALIDATION_FAILED"},
		{"no input", "chargePoints", nil, "BAD_USER_INPUT GRAPHQL_VALIDATION_FAILED"},
		{"unknown field", "chargePoints", with(charge(1), object{"bonus": true}), "BAD_USER_INPUT GRAPHQL_VALIDATION_FAILED"},
		{"text for an amount", "chargePoints", with(charge(1), object{"amount": "many"}), "BAD_USER_INPUT"},
		{"fraction of a point", "chargePoints", with(charge(1), object{"amount": 1.5}), "BAD_USER_INPUT"},
		{"amount beyond 53 bits", "chargePoints", charge(1 << 53), "BAD_USER_INPUT"},
		{"amount beyond 64 bits", "chargePoints", with(charge(1), object{"amount": "9223372036854775808"}), "BAD_USER_INPUT"},
		{"ID of something else", "placeOrder", buy(c.coupon, 1, "CARD"), "BAD_USER_INPUT"},
		{"empty ID", "placeOrder", buy("", 1, "CARD"), "BAD_USER_INPUT"},
		{"ID in other case", "placeOrder", buy(strings.ToUpper(c.product), 1, "CARD"), "BAD_USER_INPUT"},
		{"ID with separators", "placeOrder", buy("prod_1:2' OR 1=1 --", 1, "CARD"), "BAD_USER_INPUT"},
		{"long ID", "placeOrder", buy(strings.Repeat("x", 10_000), 1, "CARD"), "BAD_USER_INPUT"},
		{"ID of other letters", "placeOrder", buy("prod_ü😀", 1, "CARD"), "BAD_USER_INPUT"},
		{"ID with a space", "placeOrder", buy(c.product+" ", 1, "CARD"), "BAD_USER_INPUT"},
		{"ID that is an object", "issueCoupon", with(take(""), object{"couponId": object{}}), "BAD_USER_INPUT GRAPHQL_VALIDATION_FAILED"},
		{"NUL in an ID", "issueCoupon", take("coup_\x00"), "BAD_USER_INPUT"},
		{"quantity beyond 32 bits", "placeOrder", buy(c.product, 1<<31, "CARD"), "BAD_USER_INPUT"},
		{"unknown means of payment", "placeOrder", buy(c.product, 1, "CASH"), "BAD_USER_INPUT GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := c.alice.send(bounded(t), c.server.url, mutations[test.operation], object{"input": test.input})
			must(t, err)
			wantErrors(t, r, test.code)
		})
	}

	t.Run("role", func(t *testing.T) {
		r, err := c.alice.send(bounded(t), c.server.url, mutations["stockAdjust"], object{
			"input": object{"idempotencyKey": key(), "productId": c.product, "delta": "5"},
		})
		must(t, err)
		wantErrors(t, r, "FORBIDDEN")
	})
	t.Run("nodes that are none", func(t *testing.T) {
		for _, id := range []string{"", "_", "prod_", "what", "entry_1x", "entry_-1", "entry_99999999999999999999", c.bobs} {
			r, err := c.alice.send(bounded(t), c.server.url, `query($id: ID!) { node(id: $id) { id } }`, object{"id": id})
			must(t, err)
			if len(r.Errors) > 0 || string(r.Data["node"]) != "null" {
				t.Errorf("%q: %s", id, r.body)
			}
		}
	})
	t.Run("syntax", func(t *testing.T) {
		r, err := c.alice.send(bounded(t), c.server.url, `mutation {`, nil)
		must(t, err)
		wantErrors(t, r, "GRAPHQL_PARSE_FAILED")
	})
}

// wantErrors asserts that there are errors, of one of the codes, and no data.
func wantErrors(t *testing.T, r reply, codes string) {
	t.Helper()
	if len(r.Errors) == 0 {
		t.Fatalf("no errors: %s", r.body)
	}
	if code := r.Errors[0].Extensions.Code; !strings.Contains(" "+codes+" ", " "+code+" ") {
		t.Errorf("code %s, want %s: %s", code, codes, r.body)
	}
	for field, data := range r.Data {
		if string(data) != "null" {
			t.Errorf("%s has data: %s", field, data)
		}
	}
}

// tokens that are missing, expired or forged.
func (c *stickler) tokens(t *testing.T) {
	issue := func(secret, issuer string) string {
		token, err := auth.Issue([]byte(secret), issuer, "", "alice", []auth.Role{auth.Customer, auth.Admin}, time.Hour)
		must(t, err)
		return token
	}
	valid := issue(testSecret, "holdfast")
	developmentToken := strings.TrimSpace(command(t, nil, "token", "--user", "alice", "--admin"))
	head, rest, _ := strings.Cut(valid, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	const none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" // {"alg":"none","typ":"JWT"}

	for _, test := range []struct {
		name, token string
		status      int
	}{
		{"none", "", http.StatusOK},
		{"nonsense", "nonsense", http.StatusUnauthorized},
		{"another secret", issue("another secret, of 32 bytes or more", "holdfast"), http.StatusUnauthorized},
		{"the development server's secret", developmentToken, http.StatusUnauthorized},
		{"another issuer", issue(testSecret, "somebody"), http.StatusUnauthorized},
		{"no signature", none + "." + claims + ".", http.StatusUnauthorized},
		{"altered", head + "." + claims + "A." + signature, http.StatusUnauthorized},
		{"expired", expired(t), http.StatusUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			stranger := c.alice
			stranger.token = test.token
			r, err := stranger.send(bounded(t), c.server.url, mutations["chargePoints"], object{"input": charge(1)})
			must(t, err)
			wantEqual(t, "status", r.status, test.status)
			wantErrors(t, r, "UNAUTHENTICATED")
		})
	}
}

// expired is a token that was valid an hour ago.
func expired(t *testing.T) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "holdfast", "sub": "alice", "roles": []auth.Role{auth.Customer}, "exp": time.Now().Add(-time.Hour).Unix(),
	}).SignedString([]byte(testSecret))
	must(t, err)
	return token
}
