package events

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent/coupon"
	"holdfast/ent/payment"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// Every kind of record that commerce writes is known here.
func TestEveryRecordHasAnEvent(t *testing.T) {
	recorded := append(recordKinds(t), KindStockChanged)
	slices.Sort(recorded)
	if known := slices.Sorted(maps.Keys(kinds)); !slices.Equal(known, recorded) {
		t.Errorf("known here\n%v\nrecorded by commerce, and derived\n%v", known, recorded)
	}
}

// recordKinds reads the constants Kind... of package commerce.
func recordKinds(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../commerce/records.go", nil, 0)
	must(t, err)
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is not a literal", spec.Names[0])
		}
		value, err := strconv.Unquote(literal.Value)
		must(t, err)
		values = append(values, value)
		return true
	})
	if len(values) == 0 {
		t.Fatal("no kinds in commerce/records.go")
	}
	return values
}

// secretToken is the name of a card at the gateway.
const secretToken = "pm_card_visa"

// bounces is a gateway that says of a refund that it has failed.
type bounces struct {
	payments.Gateway
	refund string
}

func (b *bounces) ParseWebhook(http.Header, []byte, time.Time) ([]payments.Notification, error) {
	return []payments.Notification{{ID: "evt_1", FailedRefund: b.refund}}, nil
}

func (b *bounces) Movements(context.Context, payments.Ref) ([]payments.Movement, error) {
	return nil, nil
}

// What commerce writes is what is promised: no field more, none less.
func TestRecordsKeepThePromise(t *testing.T) {
	e := newEnvOn(t, channelKind, "sqlite://:memory:", func(shop *commerce.ShopSettings) { shop.MaxPending = 100 })
	ctx := t.Context()
	product := e.product(1000, 100)
	e.rich(alice)
	discount, err := e.Coupons.Create(ctx, admin, commerce.CreateCoupon{
		Name: "Off", DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 100, Quota: 10, PerUserLimit: 10,
	})
	must(t, err)
	issue, err := e.Coupons.Issue(ctx, alice, commerce.IssueCoupon{Key: uuid.New(), CouponID: discount.ID})
	must(t, err)
	result, err := e.Orders.Place(ctx, alice, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{line(product, 2)}, CouponIssueID: issue.Issue.ID, Payment: byPoints,
	})
	must(t, err)
	e.cancel(alice, result.Order.ID)
	e.order(alice, &commerce.Payment{Method: payment.MethodCARD}, line(product, 1))
	if _, err = e.Points.Charge(ctx, alice, commerce.ChargePoints{Key: uuid.New(), Amount: lockprovider.MaxAmount}); err == nil {
		t.Fatal("the wallet has taken too many points") // so that their payment is given back
	}
	_, err = e.Orders.Place(ctx, commerce.Viewer{UserID: "poor"}, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{line(product, 2)}, Payment: byPoints,
	})
	if err == nil {
		t.Fatal("paid without points")
	}
	_, err = e.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{
		Key: uuid.New(), ProductID: product, Delta: 5, Reason: "delivery",
	})
	must(t, err)
	var accounts []string
	for range 2 {
		a, err := e.Accounts.Open(ctx, admin, commerce.OpenAccount{
			UserID: alice.UserID, Name: "A", Currency: "USD", Opening: 10_000,
		})
		must(t, err)
		accounts = append(accounts, a.ID)
	}
	_, err = e.Accounts.Transfer(ctx, alice, commerce.Transfer{
		Key: uuid.New(), From: accounts[0], To: accounts[1], Amount: commerce.Money{Minor: 10, Currency: "USD"},
	})
	must(t, err)
	_, err = e.Points.Adjust(ctx, admin, commerce.AdjustPoints{Key: uuid.New(), UserID: alice.UserID, Delta: -5, Reason: "a mistake"})
	must(t, err)
	_, err = e.Accounts.Adjust(ctx, admin, commerce.AdjustAccount{Key: uuid.New(), AccountID: accounts[0], Delta: 5, Reason: "goodwill"})
	must(t, err)
	paid := e.order(alice, &commerce.Payment{Method: payment.MethodACCOUNT, AccountID: accounts[0]}, line(product, 1))
	_, err = e.Orders.Fulfil(ctx, admin, commerce.FulfilOrder{Key: uuid.New(), OrderID: paid, Tracking: "parcel 7"})
	must(t, err)
	_, err = e.Refunds.Return(ctx, admin, commerce.CreateReturn{
		Key: uuid.New(), OrderID: paid, Lines: []commerce.Line{line(product, 1)}, Restock: true, Refund: true, Reason: "broken",
	})
	must(t, err)
	byCard := e.order(alice, &commerce.Payment{Method: payment.MethodCARD, Token: secretToken}, line(product, 1))
	given, err := e.Refunds.Create(ctx, admin, commerce.CreateRefund{
		Key: uuid.New(), OrderID: byCard, Amount: &commerce.Money{Minor: 1, Currency: "USD"}, Reason: "goodwill",
	})
	must(t, err)
	e.Orders.Gateway = &bounces{e.Orders.Gateway, given.Refund.ID}
	_, err = e.Orders.ReceiveWebhook(ctx, commerce.GatewaySimulated, nil, nil)
	must(t, err)

	held := func() string {
		t.Helper()
		made, err := e.Holds.Create(ctx, alice, commerce.CreateHold{Key: uuid.New(), Lines: []commerce.Line{line(product, 1)}, TTL: time.Minute})
		must(t, err)
		return made.Hold.ID
	}
	_, err = e.Holds.Release(ctx, alice, held())
	must(t, err)
	_, err = e.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{line(product, 1)}, HoldID: held()})
	must(t, err)

	must(t, e.db.Ent.Balance.UpdateOneID(lockprovider.HoldsKey(alice.UserID)).AddAmount(1).Exec(ctx))   // as after a defect
	must(t, e.db.Ent.Balance.UpdateOneID(lockprovider.PendingKey(alice.UserID)).AddAmount(1).Exec(ctx)) // as after a defect
	_, err = e.LimitDrifts.CompareCounts(ctx, "", 100)
	must(t, err)

	rows, err := e.db.Ent.ChangeLog.Query().All(ctx)
	must(t, err)
	seen := map[string]bool{}
	for _, row := range rows {
		o := eventsOf(row, nil)[0]
		sameJSON(t, row.Kind, o.message.Payload)
		sameJSON(t, row.Kind, []byte(strings.Replace(row.Payload, `,"token":"`+secretToken+`"`, "", 1))) // all but the token is promised
		if strings.Contains(string(o.message.Payload), secretToken) {
			t.Errorf("%s tells the name of a customer's card", row.Kind)
		}
		if o.topic == TopicPoison || o.topic != kinds[row.Kind].topic || o.key() == "" {
			t.Errorf("%s goes to %s under the key %q", row.Kind, o.topic, o.key())
		}
		seen[row.Kind] = true
	}
	for kind := range kinds {
		if !seen[kind] && kind != KindStockChanged {
			t.Errorf("no %s among the changes of this test", kind)
		}
	}
}

// An event of an order has what is promised, and nothing else that its record may have.
func TestAnOrderTellsNoMore(t *testing.T) {
	payload, err := public(commerce.KindOrderPlaced, []byte(`{"orderId":"order_1","card":"pm_1","shippingAddress":{"name":"Ann","lines":["7 Elm"],"city":"Ulm","country":"DE"},"contact":{"email":"ann@example.com"},"payment":{"method":"CARD","network":"visa"}}`))
	must(t, err)
	for _, secret := range []string{"pm_1", "visa", "Ann", "Elm", "Ulm", "example.com"} {
		if strings.Contains(string(payload), secret) {
			t.Errorf("%s tells %s", payload, secret)
		}
	}
	var placed OrderPlaced
	must(t, json.Unmarshal(payload, &placed))
	if placed.OrderID != "order_1" || placed.Payment == nil || placed.Payment.Method != "CARD" {
		t.Errorf("%s does not tell the order and its payment", payload)
	}
}

// sameJSON decodes a payload strictly and encodes it again: both must hold the same fields.
func sameJSON(t *testing.T, kind string, payload []byte) {
	t.Helper()
	known, ok := kinds[kind]
	if !ok {
		t.Errorf("unknown kind %q", kind)
		return
	}
	typed := known.payload()
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(typed); err != nil {
		t.Errorf("%s: %v: %s", kind, err, payload)
		return
	}
	again, err := json.Marshal(typed)
	must(t, err)
	var before, after any
	must(t, json.Unmarshal(payload, &before))
	must(t, json.Unmarshal(again, &after))
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s:\n%s\nbecomes\n%s", kind, payload, again)
	}
}

// The documentation has a section with a sample of every kind, and lists every topic, kind and metadata.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/events.md")
	must(t, err)
	documented := map[string]bool{}
	sample := regexp.MustCompile("(?s)### `([a-z.]+)`\n.*?```json\n(.*?)```")
	for _, match := range sample.FindAllSubmatch(text, -1) {
		kind := string(match[1])
		documented[kind] = true
		sameJSON(t, kind, match[2])
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z._]+)` \\|(.*)$")
	rows := map[string]string{}
	for _, match := range row.FindAllSubmatch(text, -1) {
		rows[string(match[1])] = string(match[2])
	}
	for name, kind := range kinds {
		if !documented[name] {
			t.Errorf("no section with a sample for %s", name)
		}
		if !strings.Contains(rows[kind.topic], "`"+name+"`") {
			t.Errorf("%s is not listed under %s", name, kind.topic)
		}
	}
	for _, name := range append(Topics, MetaKind, MetaChangeID, MetaFamily, MetaOccurredAt, MetaCorrelation, MetaKey) {
		if rows[name] == "" {
			t.Errorf("%s is not listed", name)
		}
	}
}
