package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"holdfast/auth"
	"holdfast/experiment/claims"
	"holdfast/lockprovider"
)

// Shop is the GraphQL API of a shop, as its customers see it. It is safe for concurrent use.
type Shop struct {
	HTTP   *http.Client
	URLs   []string // http://host:port of each instance
	secret []byte
	// issuer and audience are those of the tokens.
	issuer, audience string
	// currency is that of the shop's prices.
	currency string

	mu     sync.Mutex
	tokens map[string]string
}

// answerTimeout bounds one request: longer than servers take at most.
const answerTimeout = 60 * time.Second

// NewShop returns a client of the instances at urls. secret signs the tokens of the customers, of that issuer and for that audience.
func NewShop(urls []string, secret []byte, issuer, audience, currency string, connections int) *Shop {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &Shop{
		HTTP: &http.Client{
			Timeout: answerTimeout,
			Transport: &http.Transport{
				DialContext: dialer.DialContext, MaxIdleConnsPerHost: connections, MaxIdleConns: connections * len(urls),
				DisableCompression: true,
			},
		},
		URLs: urls, secret: secret, issuer: issuer, audience: audience, currency: currency, tokens: map[string]string{},
	}
}

// Close closes the connections that no request uses.
func (s *Shop) Close() { s.HTTP.CloseIdleConnections() }

// administrator creates what customers fight over.
const administrator = "experimenter"

// tokenTTL outlives any experiment.
const tokenTTL = 24 * time.Hour

func (s *Shop) token(user string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token := s.tokens[user]; token != "" {
		return token, nil
	}
	roles := []auth.Role{auth.Customer}
	if user == administrator {
		roles = append(roles, auth.Admin)
	}
	token, err := auth.Issue(s.secret, s.issuer, s.audience, user, roles, tokenTTL)
	s.tokens[user] = token
	return token, err
}

// answer is what a mutation, under the alias r, says.
type answer struct {
	Data struct {
		R *payload
	}
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

type payload struct {
	Object *struct {
		ID, Status string
		Payment    *struct{ Status string }
	}
	Ticket *struct{ Status string }
	Meta   struct {
		Attempts    int
		LockWaitMs  float64
		Persistence string
		Replayed    bool
		Positions   []struct{ SubjectID, Position string }
	}
	UserErrors []struct {
		Code, Message string
		Retryable     bool
		RetryAfterMs  *int
	}
}

// outcomeFields are what every contended mutation is asked for.
const outcomeFields = ` meta { attempts lockWaitMs persistence replayed } userErrors { code message retryable retryAfterMs } } }`

var mutations = map[string]string{
	PlaceOrder: `mutation($input: PlaceOrderInput!) { r: placeOrder(input: $input) { object: order { id status payment { status } } ticket { status }` +
		outcomeFields,
	IssueCoupon: `mutation($input: IssueCouponInput!) { r: issueCoupon(input: $input) { object: couponIssue { id }` + outcomeFields,
	ChargePoints: `mutation($input: ChargePointsInput!) { r: chargePoints(input: $input) { object: wallet { id }` +
		outcomeFields,
	Transfer: `mutation($input: TransferInput!) { r: transfer(input: $input) { object: transfer { id }` + outcomeFields,
	PayOrder: `mutation($input: PayOrderInput!) { r: payOrder(input: $input) { object: order { id status payment { status } }` +
		outcomeFields,
	CancelOrder: `mutation($input: CancelOrderInput!) { r: cancelOrder(input: $input) { object: order { id status payment { status } }` +
		outcomeFields,
	RefundCreate: `mutation($input: RefundCreateInput!) { r: refundCreate(input: $input) { object: refund { id status }` + outcomeFields,
}

// reply is what the payload of a mutation says.
func (p *payload) reply(operation string) claims.Reply {
	out := claims.Reply{Accepted: p.Meta.Persistence == "ACCEPTED", Replayed: p.Meta.Replayed}
	if len(p.UserErrors) > 0 {
		out.Code = p.UserErrors[0].Code
	}
	if o := p.Object; o != nil {
		out.Object, out.Status, out.Payment = o.ID, o.Status, o.Payment != nil
	}
	if operation == CancelOrder && out.Code != "" && out.Status != "CANCELLED" {
		out.Object = "" // an error that comes with the order, as it was
	}
	return out
}

type object = map[string]any

// input is the request as the API takes it.
func (a *Request) input(currency string) object {
	in := object{"idempotencyKey": a.Key.String()}
	switch a.Operation {
	case PlaceOrder:
		lines := make([]object, len(a.Lines))
		for i, l := range a.Lines {
			lines[i] = object{"productId": l.Product, "quantity": l.Quantity}
		}
		in["lines"] = lines
		if a.issue != "" {
			in["couponIssueId"] = a.issue
		}
		if a.Payment != "" {
			in["payment"] = object{"method": a.Payment}
		}
	case IssueCoupon:
		in["couponId"] = a.Coupon
	case ChargePoints:
		in["amount"] = strconv.FormatInt(a.Amount, 10)
	case PayOrder:
		in["orderId"], in["payment"] = a.Order.ID(), object{"method": a.Payment}
	case CancelOrder:
		in["orderId"] = a.Order.ID()
	case RefundCreate: // one unit comes back
		in["orderId"], in["restock"], in["reason"] = a.Order.ID(), true, "it did not fit"
		in["lines"] = []object{{"productId": a.Lines[0].Product, "quantity": 1}}
	case Transfer:
		in["fromAccountId"], in["toAccountId"] = a.From, a.To
		in["amount"] = object{"amountMinor": strconv.FormatInt(a.Amount, 10), "currency": currency}
	}
	return in
}

// send posts one operation. An error means that there was no answer.
func (s *Shop) send(ctx context.Context, instance int, user, query string, input object, into any) error {
	variables := object{}
	if input != nil {
		variables["input"] = input
	}
	body, err := json.Marshal(object{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	token, err := s.token(user)
	if err != nil {
		return err
	}
	url := s.URLs[instance%len(s.URLs)] + "/graphql"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("status %d, not JSON: %.300s", resp.StatusCode, raw)
	}
	return nil
}

// create runs a mutation of the administrator that makes one object, and returns its identifier.
func (s *Shop) create(ctx context.Context, query string, input object) (string, error) {
	var a answer
	if err := s.send(ctx, 0, administrator, query, input, &a); err != nil {
		return "", err
	}
	if len(a.Errors) > 0 {
		return "", fmt.Errorf("%s: %s", a.Errors[0].Extensions.Code, a.Errors[0].Message)
	}
	if a.Data.R == nil || a.Data.R.Object == nil {
		if a.Data.R != nil && len(a.Data.R.UserErrors) > 0 {
			return "", fmt.Errorf("%s: %s", a.Data.R.UserErrors[0].Code, a.Data.R.UserErrors[0].Message)
		}
		return "", errors.New("nothing was created, and no reason given")
	}
	return a.Data.R.Object.ID, nil
}

const refusalFields = ` userErrors { code message } } }`

// price is of every product, in minor units.
const price = "100"

func (s *Shop) createProduct(ctx context.Context, stock int64) (string, error) {
	return s.create(ctx, `mutation($input: ProductCreateInput!) { r: productCreate(input: $input) { object: product { id }`+refusalFields,
		object{
			"sku": "EXP-" + uuid.NewString(), "name": "Something wanted", "stock": strconv.FormatInt(stock, 10),
			"price": object{"amountMinor": price, "currency": s.currency},
		})
}

func (s *Shop) createCoupon(ctx context.Context, quota int64, perUser int) (string, error) {
	return s.create(ctx, `mutation($input: CouponCreateInput!) { r: couponCreate(input: $input) { object: coupon { id }`+refusalFields,
		object{
			"name": "A little off", "discountKind": "FIXED", "discountValue": "10",
			"quota": strconv.FormatInt(quota, 10), "perUserLimit": perUser,
		})
}

func (s *Shop) createAccount(ctx context.Context, owner string, opening int64) (string, error) {
	return s.create(ctx, `mutation($input: AccountOpenInput!) { r: accountOpen(input: $input) { object: account { id }`+refusalFields,
		object{
			"name": "Savings", "currency": s.currency, "userId": "user_" + owner,
			"openingMinor": strconv.FormatInt(opening, 10),
		})
}

// Strategies returns the strategies that the servers run, each once. It fails if the servers do not accept the tokens.
func (s *Shop) Strategies(ctx context.Context) ([]lockprovider.Strategy, error) {
	var reply struct {
		Data struct {
			Strategies []struct{ Family, Strategy string }
		}
		Errors []struct{ Message string }
	}
	if err := s.send(ctx, 0, administrator, `{ strategies { family strategy } }`, nil, &reply); err != nil {
		return nil, err
	}
	if len(reply.Errors) > 0 {
		return nil, fmt.Errorf("%s: the secret that signs tokens must be that of the servers", reply.Errors[0].Message)
	}
	var found []lockprovider.Strategy
	for _, f := range reply.Data.Strategies {
		if name := lockprovider.Strategy(strings.ToLower(f.Strategy)); !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// parallel calls f for 0 to n-1, at most so many at a time, until one fails or ctx ends.
func parallel(ctx context.Context, n, limit int, f func(ctx context.Context, i int) error) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for i := range n {
		if within.Err() != nil {
			break
		}
		group.Go(func() error { return f(within, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
