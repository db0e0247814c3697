package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/auth"
)

// mutations are the operations of the tests. They select enough to see what was done.
var mutations = map[string]string{
	"placeOrder":    `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id status payment { method status } } wallet { balance } ` + outcome,
	"cartCreate":    `mutation($input: CartCreateInput!) { cartCreate(input: $input) { cart { id } ` + refusals,
	"cartCheckout":  `mutation($input: CartCheckoutInput!) { cartCheckout(input: $input) { cart { order { id } } order { id status payment { method status } } ` + outcome,
	"holdCreate":    `mutation($input: HoldCreateInput!) { holdCreate(input: $input) { hold { id status } ` + outcome,
	"holdRelease":   `mutation($input: HoldReleaseInput!) { holdRelease(input: $input) { hold { id status } ` + refusals,
	"payOrder":      `mutation($input: PayOrderInput!) { payOrder(input: $input) { order { id status payment { method status } } wallet { balance } ` + outcome,
	"cancelOrder":   `mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { order { id status payment { method status } } ` + outcome,
	"refundCreate":  `mutation($input: RefundCreateInput!) { refundCreate(input: $input) { order { id status payment { method status } } ` + outcome,
	"returnCreate":  `mutation($input: ReturnCreateInput!) { returnCreate(input: $input) { order { id status payment { method status } } ` + outcome,
	"orderFulfil":   `mutation($input: OrderFulfilInput!) { orderFulfil(input: $input) { order { id status payment { method status } } ` + refusals,
	"issueCoupon":   `mutation($input: IssueCouponInput!) { issueCoupon(input: $input) { couponIssue { id status } coupon { issued } ` + outcome,
	"chargePoints":  `mutation($input: ChargePointsInput!) { chargePoints(input: $input) { wallet { balance } ` + outcome,
	"transfer":      `mutation($input: TransferInput!) { transfer(input: $input) { transfer { id } fromAccount { id balance { amountMinor } } ` + outcome,
	"stockAdjust":   `mutation($input: StockAdjustInput!) { stockAdjust(input: $input) { product { id stock { available } } ` + outcome,
	"productCreate": `mutation($input: ProductCreateInput!) { productCreate(input: $input) { product { id stock { available } } ` + refusals,
	"couponCreate":  `mutation($input: CouponCreateInput!) { couponCreate(input: $input) { coupon { id issued } ` + refusals,
	"accountOpen":   `mutation($input: AccountOpenInput!) { accountOpen(input: $input) { account { id balance { amountMinor } } ` + refusals,
}

const (
	outcome  = `meta { strategy attempts replayed persistence } ` + refusals
	refusals = `userErrors { code message field retryable retryAfterMs } } }`
)

// payload is what a mutation answered; fields that it does not have are empty.
type payload struct {
	Order *struct {
		ID, Status string
		Payment    *struct{ Method, Status string }
	}
	Cart *struct {
		ID    string
		Order *struct{ ID string }
	}
	Hold        *struct{ ID, Status string }
	CouponIssue *struct{ ID, Status string }
	Coupon      *struct {
		ID     string
		Issued int64 `json:",string"`
	}
	Wallet *struct {
		Balance int64 `json:",string"`
	}
	Transfer             *struct{ ID string }
	Account, FromAccount *struct {
		ID      string
		Balance money
	}
	Product *struct {
		ID    string
		Stock struct {
			Available int64 `json:",string"`
		}
	}
	Meta struct {
		Strategy    string
		Attempts    int
		Replayed    bool
		Persistence string
	}
	UserErrors []refusal
}

type money struct {
	AmountMinor int64 `json:",string"`
}

type refusal struct {
	Code, Message string
	Field         []string
	Retryable     bool
	RetryAfterMs  *int
}

// code is the code of the only refusal, or "" if the mutation succeeded.
func (p payload) code() string {
	codes := make([]string, len(p.UserErrors))
	for i, e := range p.UserErrors {
		codes[i] = e.Code
	}
	return strings.Join(codes, " ")
}

// retryable tells whether a repeat may succeed by itself.
func (p payload) retryable() bool {
	for _, e := range p.UserErrors {
		if !e.Retryable || e.RetryAfterMs == nil {
			return false
		}
	}
	return len(p.UserErrors) > 0
}

// object is the identifier of what a mutation made, or "" if it made nothing but a change.
func (p payload) object() string {
	switch {
	case p.Order != nil:
		return p.Order.ID
	case p.CouponIssue != nil:
		return p.CouponIssue.ID
	case p.Transfer != nil:
		return p.Transfer.ID
	}
	return ""
}

// object is a JSON object.
type object = map[string]any

// key returns a new idempotency key.
func key() string { return uuid.NewString() }

// user is a customer, or an administrator, with a token.
type user struct {
	http    *http.Client
	servers []string // the instances of the shop: http://host:port
	token   string
}

// browser returns the HTTP client that the users of a test share. Its connections are closed with the test.
func browser(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// signIn returns a user with a token, which it signs as the issuer of a shop in production does.
func signIn(t *testing.T, browser *http.Client, name string, admin bool, servers ...*process) user {
	t.Helper()
	roles := []auth.Role{auth.Customer}
	if admin {
		roles = append(roles, auth.Admin)
	}
	token, err := auth.Issue([]byte(testSecret), "holdfast", "", name, roles, time.Hour)
	must(t, err)
	return user{http: browser, token: token}.at(servers...)
}

// at is the same user as a client of other servers.
func (u user) at(servers ...*process) user {
	u.servers = nil
	for _, s := range servers {
		u.servers = append(u.servers, s.url)
	}
	return u
}

// reply is an answer of the endpoint.
type reply struct {
	status int
	body   string
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

// send posts one operation. An error means that there was no answer.
func (u user) send(ctx context.Context, server, query string, variables object) (reply, error) {
	body, err := json.Marshal(object{"query": query, "variables": variables})
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/graphql", bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if u.token != "" {
		req.Header.Set("Authorization", "Bearer "+u.token)
	}
	resp, err := u.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, body: string(raw)}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("status %d, not JSON: %s", r.status, raw)
	}
	return r, nil
}

// errTimeout is the endpoint's word for a request that took too long: it is to be repeated.
const errTimeout = "TIMEOUT"

// try sends a mutation once. busy means that it is to be repeated with the same key.
func (u user) try(ctx context.Context, server, operation string, input object) (p payload, busy bool, err error) {
	r, err := u.send(ctx, server, mutations[operation], object{"input": input})
	if err != nil {
		return payload{}, false, err
	}
	if len(r.Errors) > 0 {
		if r.Errors[0].Extensions.Code == errTimeout {
			return payload{}, true, nil
		}
		return payload{}, false, fmt.Errorf("%s: status %d: %s", operation, r.status, r.body)
	}
	if err := json.Unmarshal(r.Data[operation], &p); err != nil {
		return payload{}, false, fmt.Errorf("%s: %w: %s", operation, err, r.body)
	}
	return p, p.retryable(), nil
}

// ask sends a mutation. While the answer says so, it repeats the mutation with the same key, at all servers in turn.
func (u user) ask(ctx context.Context, first int, operation string, input object) (payload, error) {
	for turn := first; ; turn++ {
		p, busy, err := u.try(ctx, u.servers[turn%len(u.servers)], operation, input)
		if err != nil || !busy {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("%s: %w, last %v", operation, ctx.Err(), p.UserErrors)
		case <-time.After(rand.N(20 * time.Millisecond)): // less patient than the server's retryAfterMs asks for
		}
	}
}

// do is ask for a mutation that must succeed.
func (u user) do(t *testing.T, operation string, input object) payload {
	t.Helper()
	p, err := u.ask(bounded(t), 0, operation, input)
	must(t, err)
	if p.code() != "" {
		t.Fatalf("%s refused: %v", operation, p.UserErrors)
	}
	return p
}

// query reads data.
func (u user) query(t *testing.T, query string, into any) {
	t.Helper()
	r, err := u.send(bounded(t), u.servers[0], query, nil)
	must(t, err)
	if len(r.Errors) > 0 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var whole struct{ Data any }
	whole.Data = into
	must(t, json.Unmarshal([]byte(r.body), &whole))
}

// product puts a product on sale and returns its identifier.
func (u user) product(t *testing.T, price, stock int64) string {
	t.Helper()
	return u.do(t, "productCreate", object{
		"sku": key(), "name": "Something", "price": object{"amountMinor": text(price), "currency": "USD"}, "stock": text(stock),
	}).Product.ID
}

// coupon offers a coupon and returns its identifier.
func (u user) coupon(t *testing.T, quota int64, perUser int) string {
	t.Helper()
	return u.do(t, "couponCreate", object{
		"name": "A little off", "discountKind": "FIXED", "discountValue": "50", "quota": text(quota), "perUserLimit": perUser,
	}).Coupon.ID
}

// account opens an account for a user and returns its identifier.
func (u user) account(t *testing.T, owner string, opening int64) string {
	t.Helper()
	return u.do(t, "accountOpen", object{
		"name": "Savings", "currency": "USD", "userId": "user_" + owner, "openingMinor": text(opening),
	}).Account.ID
}

// text is an Int64 as it goes over the wire.
func text(n int64) string { return fmt.Sprint(n) }

// stock is how many of a product can be bought.
func (u user) stock(t *testing.T, product string) int64 {
	t.Helper()
	var data struct {
		Product struct {
			Stock struct {
				Available int64 `json:",string"`
			}
		}
	}
	u.query(t, fmt.Sprintf(`{ product(id: %q) { stock { available } } }`, product), &data)
	return data.Product.Stock.Available
}

// issued is how many of a coupon are taken.
func (u user) issued(t *testing.T, coupon string) int64 {
	t.Helper()
	var data struct {
		Coupon struct {
			Issued int64 `json:",string"`
		}
	}
	u.query(t, fmt.Sprintf(`{ coupon(id: %q) { issued } }`, coupon), &data)
	return data.Coupon.Issued
}

// points is the balance of the user's wallet.
func (u user) points(t *testing.T) int64 {
	t.Helper()
	var data struct {
		Me struct {
			Wallet struct {
				Balance int64 `json:",string"`
			}
		}
	}
	u.query(t, `{ me { wallet { balance } } }`, &data)
	return data.Me.Wallet.Balance
}

// balance is the balance of one of the user's accounts.
func (u user) balance(t *testing.T, account string) int64 {
	t.Helper()
	var data struct{ Account struct{ Balance money } }
	u.query(t, fmt.Sprintf(`{ account(id: %q) { balance { amountMinor } } }`, account), &data)
	return data.Account.Balance.AmountMinor
}

func buy(product string, quantity int, method string) object {
	return object{
		"idempotencyKey": key(), "lines": []object{{"productId": product, "quantity": quantity}},
		"payment": object{"method": method},
	}
}

func charge(amount int64) object { return object{"idempotencyKey": key(), "amount": text(amount)} }

func move(from, to string, amount int64) object {
	return object{
		"idempotencyKey": key(), "fromAccountId": from, "toAccountId": to,
		"amount": object{"amountMinor": text(amount), "currency": "USD"},
	}
}

func take(coupon string) object { return object{"idempotencyKey": key(), "couponId": coupon} }
