package graph_test

import (
	"testing"
	"time"

	"holdfast/lockprovider"
)

// positioned are the fields of a payload that tell positions.
const positioned = ` meta { persistence replayed positions { subjectId position } } userErrors { code } } }`

// TestPositions moves objects that nothing has moved before: the first change has position 1.
func TestPositions(t *testing.T) {
	a := newAPI(t, settings{})
	product := a.newProduct("POS-1")
	a.ok(nobody, `query($id: ID!) { product(id: $id) { stock { available position } } }`, object{"id": product}).
		want("product.stock.position", 0)
	const order = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } products { stock { available position } }` + positioned
	first := vars(object{"idempotencyKey": key(), "lines": line(product, 1)})
	for i := range 3 {
		input := first
		if i == 1 {
			input = vars(object{"idempotencyKey": key(), "lines": line(product, 2)})
		}
		want := 1 + i%2 // the repeat is told the first result
		a.ok(alice, order, input).want("placeOrder.meta.positions.0.subjectId", lockprovider.FirstVariantID(product), "placeOrder.meta.positions.0.position", want,
			"placeOrder.meta.positions.1", nil, "placeOrder.meta.replayed", i == 2, "placeOrder.products.0.stock.position", min(i+1, 2))
	}
	a.do(alice, order, vars(object{"idempotencyKey": key(), "lines": line(product, 50)})).want("placeOrder.meta.positions.0", nil)

	open := func(user string) string {
		return a.ok(admin, accountOpen, vars(object{"name": "Fresh", "currency": "USD", "userId": "user_" + user, "openingMinor": "100"})).
			text("accountOpen.account.id")
	}
	mine, also, theirs := open(alice), open(alice), open(bob)
	const move = `mutation($input: TransferInput!) { transfer(input: $input) { fromAccount { position balance { amountMinor } }` + positioned
	give := func(to string) object {
		return vars(object{
			"idempotencyKey": key(), "fromAccountId": mine, "toAccountId": to, "amount": object{"amountMinor": "1", "currency": "USD"},
		})
	}
	a.ok(alice, move, give(theirs)).want("transfer.meta.positions.0.subjectId", mine, "transfer.meta.positions.0.position", 1,
		"transfer.meta.positions.1", nil, "transfer.fromAccount.position", 1, "transfer.fromAccount.balance.amountMinor", 99)
	told := a.ok(alice, move, give(also))
	want := []any{
		"transfer.meta.positions.0.subjectId", mine, "transfer.meta.positions.0.position", 2,
		"transfer.meta.positions.1.subjectId", also, "transfer.meta.positions.1.position", 1,
	}
	if also < mine { // they are sorted
		want = []any{
			"transfer.meta.positions.1.subjectId", mine, "transfer.meta.positions.1.position", 2,
			"transfer.meta.positions.0.subjectId", also, "transfer.meta.positions.0.position", 1,
		}
	}
	told.want(want...)

	const charge = `mutation($input: ChargePointsInput!) { chargePoints(input: $input) { wallet { position balance }` + positioned
	a.ok(carol, `{ me { wallet { position balance } } }`, nil).want("me.wallet.position", 0, "me.wallet.balance", 0)
	a.ok(carol, charge, vars(object{"idempotencyKey": key(), "amount": "100"})).want("chargePoints.meta.positions.0.subjectId", "wallet_carol",
		"chargePoints.meta.positions.0.position", 1, "chargePoints.wallet.position", 1, "chargePoints.wallet.balance", 100)

	coupon := a.ok(admin, couponCreate, vars(object{
		"name": "A little off", "discountKind": "FIXED", "discountValue": "10", "quota": "5", "perUserLimit": 1,
	})).text("couponCreate.coupon.id")
	const issue = `mutation($input: IssueCouponInput!) { issueCoupon(input: $input) { coupon { issued }` + positioned
	a.ok(alice, issue, vars(object{"idempotencyKey": key(), "couponId": coupon})).want("issueCoupon.meta.positions.0.subjectId", coupon,
		"issueCoupon.meta.positions.0.position", 1, "issueCoupon.meta.positions.1", nil)
}

func (a *api) newProduct(sku string) string {
	return a.ok(admin, productCreate, vars(object{
		"sku": sku, "name": "Fresh", "price": object{"amountMinor": "100", "currency": "USD"}, "stock": "10",
	})).text("productCreate.product.id")
}

// TestPositionsOfWhatIsAccepted: what the database has not confirmed has no position, and a repeat tells it.
func TestPositionsOfWhatIsAccepted(t *testing.T) {
	a := newAPI(t, settings{accepting: true})
	product := a.newProduct("POS-2")
	const order = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id }` + positioned
	input := vars(object{"idempotencyKey": key(), "lines": line(product, 1)})
	a.ok(alice, order, input).want("placeOrder.meta.persistence", "ACCEPTED", "placeOrder.meta.positions.0", nil)
	a.ok(alice, order, input).want("placeOrder.meta.replayed", true, "placeOrder.meta.persistence", "PERSISTED",
		"placeOrder.meta.positions.0.subjectId", lockprovider.FirstVariantID(product), "placeOrder.meta.positions.0.position", 1)
}

// TestPositionsOfOrders: an order has several steps, and an answer does not tell the positions of all of them.
func TestPositionsOfOrders(t *testing.T) {
	a := newAPI(t, settings{})
	product := a.newProduct("POS-3")
	const place = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id } products { stock { position } }` + positioned
	const cancel = `mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { order { status } products { stock { position } }` + positioned
	input := vars(object{"idempotencyKey": key(), "lines": line(product, 1), "payment": object{"method": "POINTS"}})
	placed := a.ok(alice, place, input).want("placeOrder.meta.positions.0.subjectId", "wallet_alice",
		"placeOrder.meta.positions.1.subjectId", lockprovider.FirstVariantID(product), "placeOrder.meta.positions.1.position", 1)
	a.ok(alice, place, input).want("placeOrder.meta.replayed", true, "placeOrder.meta.positions.0.subjectId", lockprovider.FirstVariantID(product),
		"placeOrder.meta.positions.0.position", 1, "placeOrder.meta.positions.1", nil)
	a.ok(alice, cancel, vars(object{"idempotencyKey": key(), "orderId": placed.text("placeOrder.order.id")})).
		want("cancelOrder.order.status", "CANCELLED", "cancelOrder.meta.positions.0.subjectId", lockprovider.FirstVariantID(product),
			"cancelOrder.meta.positions.0.position", 2, "cancelOrder.meta.positions.1", nil)

	poor := a.ok(admin, accountOpen, vars(object{"name": "Poor", "currency": "USD", "userId": "user_alice", "openingMinor": "1"})).
		text("accountOpen.account.id")
	a.do(alice, place, vars(object{
		"idempotencyKey": key(), "lines": line(product, 1), "payment": object{"method": "ACCOUNT", "accountId": poor},
	})).want("placeOrder.userErrors.0.code", "INSUFFICIENT_FUNDS", "placeOrder.meta.positions.0.subjectId", lockprovider.FirstVariantID(product),
		"placeOrder.meta.positions.0.position", 3, "placeOrder.meta.positions.1", nil, "placeOrder.products.0.stock.position", 4)
}

// TestPositionsOfQueuedOrders: an order that has come out of the queue tells no position.
func TestPositionsOfQueuedOrders(t *testing.T) {
	a := newAPI(t, settings{stock: lockprovider.Queue})
	product := a.newProduct("POS-4")
	const place = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { ticket { status } products { stock { position } }` + positioned
	input := vars(object{"idempotencyKey": key(), "lines": line(product, 1), "wait": false})
	answer, end := a.ok(alice, place, input), time.Now().Add(longEnough)
	for answer.text("placeOrder.ticket.status") != "DONE" && time.Now().Before(end) { // each look takes its time
		answer = a.ok(alice, place, input)
	}
	answer.want("placeOrder.ticket.status", "DONE", "placeOrder.meta.persistence", "PERSISTED", "placeOrder.meta.positions.0", nil)
	a.ok(nobody, `query($id: ID!) { product(id: $id) { stock { position } } }`, object{"id": product}).want("product.stock.position", 1)
}
