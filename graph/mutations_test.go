package graph_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/graph/served"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
	"holdfast/lockprovider/ledger"
	"holdfast/payments"
	"holdfast/web"
)

// The mutations as the tests send them: with everything that tells what they did.
const (
	failures = ` userErrors { __typename code message field retryable retryAfterMs
		... on OutOfStockError { productId requested available }
		... on PurchaseLimitError { productId requested available }
		... on CouponExhaustedError { couponId }
		... on InsufficientFundsError { requested available }
		... on VersionConflictError { currentVersion }
		... on PriceChangedError { expected { amountMinor currency minorDigits } actual { amountMinor } }
		... on PaymentMethodError { method taken }
		... on ContentionError { strategy waitedMs } } `
	meta  = ` meta { requestId strategy attempts lockWaitMs totalMs replayed } `
	order = ` order { id status subtotal { amountMinor } discount { amountMinor } total { amountMinor currency }
		lines { quantity unitPrice { amountMinor } total { amountMinor } product { id } }
		payment { method status amount { amountMinor } accountId reference } couponIssue { id status } failure { code } }
		products { id stock { available } } wallet { id balance } account { id balance { amountMinor } }
		couponIssue { id status orderId } `
	refunded = ` refund { id status amount { amountMinor currency } restock restockedAt reason failureReason administratorId
		lines { quantity amount { amountMinor } product { id } } }
		order { id status lines { quantity returned paid { amountMinor } } payment { status refunded { amountMinor } refundable { amountMinor } } }
		products { id stock { available } } `
	product = ` product { id sku name description version price { amountMinor currency } stock { available } archivedAt } `

	placeOrder       = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { ticket { id status result { id persistence } }` + order + meta + failures + `} }`
	payOrder         = `mutation($input: PayOrderInput!) { payOrder(input: $input) {` + order + meta + failures + `} }`
	cancelOrder      = `mutation($input: CancelOrderInput!) { cancelOrder(input: $input) {` + order + meta + failures + `} }`
	orderFulfil      = `mutation($input: OrderFulfilInput!) { orderFulfil(input: $input) { order { id fulfilment fulfilledAt tracking }` + meta + failures + `} }`
	refundCreate     = `mutation($input: RefundCreateInput!) { refundCreate(input: $input) {` + refunded + meta + failures + `} }`
	returnCreate     = `mutation($input: ReturnCreateInput!) { returnCreate(input: $input) {` + refunded + meta + failures + `} }`
	issueCoupon      = `mutation($input: IssueCouponInput!) { issueCoupon(input: $input) { couponIssue { id status coupon { id } } coupon { id quota issued }` + meta + failures + `} }`
	chargePoints     = `mutation($input: ChargePointsInput!) { chargePoints(input: $input) { wallet { id balance }` + meta + failures + `} }`
	transfer         = `mutation($input: TransferInput!) { transfer(input: $input) { transfer { id fromAccountId toAccountId amount { amountMinor currency } } fromAccount { id balance { amountMinor } } toAccount { id balance { amountMinor } }` + meta + failures + `} }`
	accountOpen      = `mutation($input: AccountOpenInput!) { accountOpen(input: $input) { account { id name balance { amountMinor currency } }` + failures + `} }`
	productCreate    = `mutation($input: ProductCreateInput!) { productCreate(input: $input) {` + product + failures + `} }`
	productUpdate    = `mutation($input: ProductUpdateInput!) { productUpdate(input: $input) {` + product + failures + `} }`
	categoryCreate   = `mutation($input: CategoryCreateInput!) { categoryCreate(input: $input) { category { id name handle position version parent { id } }` + failures + `} }`
	categoryUpdate   = `mutation($input: CategoryUpdateInput!) { categoryUpdate(input: $input) { category { id name handle position version parent { id } }` + failures + `} }`
	categoryDelete   = `mutation($input: CategoryDeleteInput!) { categoryDelete(input: $input) { deletedCategoryId` + failures + `} }`
	variant          = ` variant { id sku title price { amountMinor } stock { available } version archivedAt product { id priceRange { min { amountMinor } max { amountMinor } } } }`
	variantsCreate   = `mutation($input: ProductVariantsCreateInput!) { productVariantsCreate(input: $input) { product { id options { name values } variants { nodes { id title } totalCount { count } } }` + failures + `} }`
	variantUpdate    = `mutation($input: ProductVariantUpdateInput!) { productVariantUpdate(input: $input) {` + variant + failures + `} }`
	variantArchive   = `mutation($input: ProductVariantArchiveInput!) { productVariantArchive(input: $input) {` + variant + failures + `} }`
	variantUnarchive = `mutation($input: ProductVariantUnarchiveInput!) { productVariantUnarchive(input: $input) {` + variant + failures + `} }`
	productArchive   = `mutation($input: ProductArchiveInput!) { productArchive(input: $input) {` + product + failures + `} }`
	productUnarchive = `mutation($input: ProductUnarchiveInput!) { productUnarchive(input: $input) {` + product + failures + `} }`
	productsImport   = `mutation($input: ProductsImportInput!) { productsImport(input: $input) { results { sku productId outcome delta available` + failures + `}` + failures + `} }`
	stockAdjust      = `mutation($input: StockAdjustInput!) { stockAdjust(input: $input) {` + product + meta + failures + `} }`
	coupon           = ` coupon { id name discountKind discountValue quota issued perUserLimit validFrom validUntil stoppedAt version }`
	couponCreate     = `mutation($input: CouponCreateInput!) { couponCreate(input: $input) {` + coupon + failures + `} }`
	couponUpdate     = `mutation($input: CouponUpdateInput!) { couponUpdate(input: $input) {` + coupon + failures + `} }`
	couponStop       = `mutation($input: CouponStopInput!) { couponStop(input: $input) {` + coupon + failures + `} }`
	couponResume     = `mutation($input: CouponResumeInput!) { couponResume(input: $input) {` + coupon + failures + `} }`
	pointsAdjust     = `mutation($input: PointsAdjustInput!) { pointsAdjust(input: $input) { wallet { id balance entries { nodes { kind delta } } }` + meta + failures + `} }`
	accountAdjust    = `mutation($input: AccountAdjustInput!) { accountAdjust(input: $input) { account { id balance { amountMinor } }` + meta + failures + `} }`
)

func line(productID string, quantity any) []object {
	return []object{{"productId": productID, "quantity": quantity}}
}

func TestPlaceOrder(t *testing.T) {
	a := newAPI(t, settings{})
	input := object{"idempotencyKey": key(), "lines": line("prod_1", 2), "payment": object{"method": "POINTS"}}
	first := a.ok(alice, placeOrder, vars(input)).want(
		"placeOrder.order.status", "PAID", "placeOrder.order.total.amountMinor", 17800,
		"placeOrder.order.total.currency", "USD", "placeOrder.order.lines.0.quantity", 2,
		"placeOrder.order.lines.0.unitPrice.amountMinor", 8900, "placeOrder.order.lines.0.total.amountMinor", 17800,
		"placeOrder.order.payment.method", "POINTS", "placeOrder.order.payment.status", "CAPTURED",
		"placeOrder.products.0.stock.available", 248, "placeOrder.wallet.id", "wallet_alice",
		"placeOrder.wallet.balance", 1_000_000-17800, "placeOrder.account", nil,
		"placeOrder.meta.strategy", "SETNX", "placeOrder.meta.replayed", false)
	if first.header.Get("X-Request-Id") != first.text("placeOrder.meta.requestId") {
		t.Errorf("the header and meta name different requests: %s", first.body)
	}
	if ms, _ := first.at("placeOrder.meta.totalMs").(float64); ms <= 0 {
		t.Errorf("totalMs is %v", ms)
	}

	// The same again is the first result again; and a map of strings would not have kept the order of its lines.
	a.ok(alice, placeOrder, vars(input)).want("placeOrder.order.id", first.text("placeOrder.order.id"),
		"placeOrder.products.0.stock.available", 248, "placeOrder.wallet.balance", 1_000_000-17800,
		"placeOrder.meta.replayed", true)
	// Another customer's same key is another operation.
	a.ok(bob, placeOrder, vars(input)).want("placeOrder.products.0.stock.available", 246, "placeOrder.meta.replayed", false)
}

func TestPlaceOrderWithCouponAndAccount(t *testing.T) {
	a := newAPI(t, settings{})
	a.ok(alice, placeOrder, vars(object{
		"idempotencyKey": key(), "lines": line("prod_3", 1), "couponIssueId": commerce.DemoIssueID,
		"payment": object{"method": "ACCOUNT", "accountId": "acct_alice"},
	})).want(
		"placeOrder.order.status", "PAID", "placeOrder.order.subtotal.amountMinor", 12900,
		"placeOrder.order.discount.amountMinor", 500, "placeOrder.order.total.amountMinor", 12400,
		"placeOrder.order.payment.accountId", "acct_alice", "placeOrder.account.balance.amountMinor", 1_000_000_00-12400,
		"placeOrder.couponIssue.status", "USED", "placeOrder.order.couponIssue.id", commerce.DemoIssueID,
		"placeOrder.wallet", nil)
}

func TestPayAndCancelOrder(t *testing.T) {
	a := newAPI(t, settings{})
	placed := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)})).
		want("placeOrder.order.status", "PENDING", "placeOrder.order.payment", nil)
	id := placed.text("placeOrder.order.id")
	a.ok(alice, payOrder, vars(object{"idempotencyKey": key(), "orderId": id, "payment": object{"method": "POINTS"}})).
		want("payOrder.order.status", "PAID", "payOrder.wallet.balance", 1_000_000-8900, "payOrder.meta.strategy", "OPTIMISTIC",
			"payOrder.products.0.stock.available", 249)
	// An administrator cancels it for her, and does not get to see her wallet.
	a.ok(admin, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": id})).
		want("cancelOrder.order.status", "CANCELLED", "cancelOrder.order.payment.status", "REFUNDED",
			"cancelOrder.products.0.stock.available", 250, "cancelOrder.wallet", nil)
	a.ok(alice, `{ me { wallet { balance entries { nodes { kind delta } } } } }`, nil).
		want("me.wallet.balance", 1_000_000, "me.wallet.entries.nodes.0.kind", "ORDER_REFUNDED",
			"me.wallet.entries.nodes.0.delta", 8900, "me.wallet.entries.nodes.1.kind", "ORDER_PAID")

	// The demo order, by card.
	paid := a.ok(alice, payOrder, vars(object{"idempotencyKey": key(), "orderId": commerce.DemoOrderID, "payment": object{"method": "CARD"}})).
		want("payOrder.order.payment.method", "CARD", "payOrder.wallet", nil, "payOrder.account", nil)
	if got := paid.text("payOrder.order.payment.reference"); !strings.HasPrefix(got, "sim_pat_") {
		t.Errorf("the gateway's reference is %q", got)
	}
	a.ok(alice, cancelOrder, vars(object{"idempotencyKey": key(), "orderId": commerce.DemoOrderID})).
		want("cancelOrder.order.payment.status", "REFUNDED")
}

func TestIssueCoupon(t *testing.T) {
	a := newAPI(t, settings{})
	input := object{"idempotencyKey": key(), "couponId": "coup_half"}
	first := a.ok(bob, issueCoupon, vars(input)).want("issueCoupon.couponIssue.status", "ISSUED",
		"issueCoupon.couponIssue.coupon.id", "coup_half", "issueCoupon.coupon.issued", 1, "issueCoupon.coupon.quota", 10,
		"issueCoupon.meta.strategy", "ATOMICSQL")
	a.ok(bob, issueCoupon, vars(input)).want("issueCoupon.couponIssue.id", first.text("issueCoupon.couponIssue.id"),
		"issueCoupon.coupon.issued", 1, "issueCoupon.meta.replayed", true)
}

func TestChargePoints(t *testing.T) {
	a := newAPI(t, settings{})
	a.ok(carol, chargePoints, vars(object{"idempotencyKey": key(), "amount": "250"})).
		want("chargePoints.wallet.id", "wallet_carol", "chargePoints.wallet.balance", 250, "chargePoints.meta.strategy", "OPTIMISTIC")
	a.ok(carol, chargePoints, vars(object{"idempotencyKey": key(), "amount": 50})).want("chargePoints.wallet.balance", 300)

	// Fields of one mutation run one after another, and each sees what it changed itself.
	a.ok(carol, `mutation($a: UUID!, $b: UUID!) {
		a: chargePoints(input: {idempotencyKey: $a, amount: 1}) { wallet { balance } userErrors { code } }
		b: chargePoints(input: {idempotencyKey: $b, amount: 1}) { wallet { balance } userErrors { code } }
	}`, object{"a": key(), "b": key()}).want("a.wallet.balance", 301, "b.wallet.balance", 302)
}

// Administrators see what is others', and spend nothing of it. What they correct has a reason that is kept.
func TestAdministratorsAndTheMoneyOfOthers(t *testing.T) {
	a := newAPI(t, settings{})
	pending := a.ok(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)})).text("placeOrder.order.id")
	a.do(admin, transfer, vars(object{
		"idempotencyKey": key(), "fromAccountId": "acct_bob", "toAccountId": "acct_alice", "amount": object{"amountMinor": "1", "currency": "USD"},
	})).want("transfer.transfer", nil, "transfer.userErrors.0.code", "NOT_FOUND", "transfer.userErrors.0.field", []any{"input", "fromAccountId"})
	for _, payment := range []object{{"method": "POINTS"}, {"method": "ACCOUNT", "accountId": "acct_bob"}} {
		r := a.do(admin, payOrder, vars(object{"idempotencyKey": key(), "orderId": pending, "payment": payment}))
		r.want("payOrder.order", nil, "payOrder.userErrors.0.code", "INVALID_INPUT")
	}

	before, err := strconv.Atoi(fmt.Sprint(a.ok(bob, `{ me { wallet { balance } } }`, nil).at("me.wallet.balance")))
	must(t, err)
	points := object{"idempotencyKey": key(), "userId": "user_bob", "delta": "-7", "reason": " charged twice "}
	for _, replayed := range []bool{false, true} {
		a.ok(admin, pointsAdjust, vars(points)).want("pointsAdjust.wallet.id", "wallet_bob", "pointsAdjust.wallet.balance", before-7,
			"pointsAdjust.wallet.entries.nodes.0.kind", "POINTS_ADJUSTED", "pointsAdjust.meta.replayed", replayed)
	}
	money := object{"idempotencyKey": key(), "accountId": "acct_bob", "deltaMinor": "250", "reason": "goodwill"}
	a.ok(admin, accountAdjust, vars(money)).want("accountAdjust.account.id", "acct_bob")
	a.ok(admin, stockAdjust, vars(object{"idempotencyKey": key(), "productId": "prod_1", "delta": 1}))
	a.ok(admin, `{ adjustments(first: 3) { nodes { family subjectId delta reason administratorId } } }`, nil).want(
		"adjustments.nodes.0.family", "STOCK", "adjustments.nodes.0.subjectId", "prod_1", "adjustments.nodes.0.reason", "",
		"adjustments.nodes.1.family", "ACCOUNTS", "adjustments.nodes.1.subjectId", "acct_bob", "adjustments.nodes.1.delta", 250,
		"adjustments.nodes.2.subjectId", "user_bob", "adjustments.nodes.2.delta", -7, "adjustments.nodes.2.reason", "charged twice",
		"adjustments.nodes.2.administratorId", "user_admin")
}

func TestTransfer(t *testing.T) {
	a := newAPI(t, settings{})
	input := object{
		"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "acct_bob",
		"amount": object{"amountMinor": "1500", "currency": "USD"},
	}
	a.ok(alice, transfer, vars(input)).want("transfer.transfer.amount.amountMinor", 1500,
		"transfer.fromAccount.balance.amountMinor", 1_000_000_00-1500, "transfer.toAccount", nil, "transfer.meta.strategy", "ROWLOCK")

	own := a.ok(alice, accountOpen, vars(object{"name": "Second", "currency": "USD"})).
		want("accountOpen.account.balance.amountMinor", 0).text("accountOpen.account.id")
	input["idempotencyKey"], input["toAccountId"] = key(), own
	a.ok(alice, transfer, vars(input)).want("transfer.toAccount.balance.amountMinor", 1500)
}

func TestAccountOpenForAnother(t *testing.T) {
	a := newAPI(t, settings{})
	opened := a.ok(admin, accountOpen, vars(object{
		"name": "Carol's", "currency": "EUR", "userId": "user_carol", "openingMinor": "700",
	})).want("accountOpen.account.balance.amountMinor", 700, "accountOpen.account.balance.currency", "EUR")
	a.ok(carol, `{ me { accounts { nodes { id balance { amountMinor } } } } }`, nil).
		want("me.accounts.nodes.0.id", opened.text("accountOpen.account.id"), "me.accounts.nodes.0.balance.amountMinor", 700)
}

func TestLimitPerCustomer(t *testing.T) {
	a := newAPI(t, settings{})
	const limit = `query($id: ID!) { product(id: $id) { limitPerCustomer { quantity periodHours } } }`
	id := a.ok(admin, productCreate, vars(object{
		"sku": "FEW-1", "name": "Few", "price": object{"amountMinor": "100", "currency": "USD"}, "stock": "50",
		"limitPerCustomer": object{"quantity": "2", "periodHours": 24},
	})).text("productCreate.product.id")
	a.ok(nobody, limit, object{"id": id}).want("product.limitPerCustomer.quantity", 2, "product.limitPerCustomer.periodHours", 24)
	a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line(id, 3)})).want("placeOrder.order", nil,
		"placeOrder.userErrors.0.__typename", "PurchaseLimitError", "placeOrder.userErrors.0.code", "PURCHASE_LIMIT",
		"placeOrder.userErrors.0.field", "[input lines 0 quantity]", "placeOrder.userErrors.0.productId", id,
		"placeOrder.userErrors.0.requested", 3, "placeOrder.userErrors.0.available", 2, "placeOrder.userErrors.0.retryable", true)
	a.ok(admin, productUpdate, vars(object{"id": id, "version": 1, "limitPerCustomer": object{"quantity": "3"}}))
	a.ok(nobody, limit, object{"id": id}).want("product.limitPerCustomer.quantity", 3, "product.limitPerCustomer.periodHours", nil)
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line(id, 3)}))
	a.ok(admin, productUpdate, vars(object{"id": id, "version": 2, "name": "Many"})) // what is not given stays
	a.ok(nobody, limit, object{"id": id}).want("product.limitPerCustomer.quantity", 3)
	a.ok(admin, productUpdate, vars(object{"id": id, "version": 3, "limitPerCustomer": object{"quantity": "0"}}))
	a.ok(nobody, limit, object{"id": id}).want("product.limitPerCustomer", nil)
}

func TestCatalogueMutations(t *testing.T) {
	a := newAPI(t, settings{})
	created := a.ok(admin, productCreate, vars(object{
		"sku": "NEW-1", "name": " New ", "price": object{"amountMinor": "100", "currency": "USD"}, "stock": "5",
	})).want("productCreate.product.name", "New", "productCreate.product.description", "", "productCreate.product.version", 1,
		"productCreate.product.stock.available", 5, "productCreate.product.archivedAt", nil)
	id := created.text("productCreate.product.id")
	a.ok(admin, productUpdate, vars(object{"id": id, "version": 1, "priceMinor": 120, "description": "Better"})).
		want("productUpdate.product.price.amountMinor", 120, "productUpdate.product.name", "New",
			"productUpdate.product.description", "Better", "productUpdate.product.version", 2)
	adjust := object{"idempotencyKey": key(), "productId": id, "delta": "-2"}
	a.ok(admin, stockAdjust, vars(adjust)).want("stockAdjust.product.stock.available", 3, "stockAdjust.meta.replayed", false)
	a.ok(admin, stockAdjust, vars(adjust)).want("stockAdjust.product.stock.available", 3, "stockAdjust.meta.replayed", true)
	if when := a.ok(admin, productArchive, vars(object{"id": id})).text("productArchive.product.archivedAt"); !strings.HasSuffix(when, "Z") {
		t.Errorf("archivedAt is %s, want a time in UTC", when)
	}
	a.ok(admin, productUnarchive, vars(object{"id": id})).want("productUnarchive.product.archivedAt", nil)
	a.ok(nobody, `{ products(filter: {search: "new-1"}) { nodes { sku } } }`, nil).want("products.nodes.0.sku", "NEW-1")
	a.ok(admin, productArchive, vars(object{"id": id}))
	a.ok(admin, `query($id: ID!) { product(id: $id) { id archivedAt } products(filter: {search: "NEW-1"}) { nodes { id } }
		all: products(filter: {search: "new-1", includeArchived: true}) { nodes { id } } }`, object{"id": id}).
		want("product.id", id, "products.nodes", []any{}, "all.nodes.0.id", id)
}

func TestCouponCreate(t *testing.T) {
	a := newAPI(t, settings{})
	a.ok(admin, couponCreate, vars(object{
		"name": "Ten off", "discountKind": "PERCENT", "discountValue": "10", "quota": "3", "validUntil": "2099-01-01T01:00:00+01:00",
	})).want("couponCreate.coupon.perUserLimit", 1, "couponCreate.coupon.issued", 0, "couponCreate.coupon.validFrom", nil,
		"couponCreate.coupon.validUntil", "2099-01-01T00:00:00Z")
	a.ok(admin, couponCreate, vars(object{
		"name": "Null is the default", "discountKind": "FIXED", "discountValue": 1, "quota": 1, "perUserLimit": nil,
	})).want("couponCreate.coupon.perUserLimit", 1)
}

// TestCouponChange changes a coupon: what is not given stays, null takes a bound away, and nobody takes one that is stopped.
func TestCouponChange(t *testing.T) {
	a := newAPI(t, settings{})
	id := a.ok(admin, couponCreate, vars(object{
		"name": "Ten off", "discountKind": "PERCENT", "discountValue": "10", "quota": "3",
		"validFrom": "2020-01-01T00:00:00Z", "validUntil": "2021-01-01T00:00:00Z",
	})).text("couponCreate.coupon.id")
	take := func() object { return vars(object{"idempotencyKey": key(), "couponId": id}) }
	refused := func(input object) result {
		t.Helper()
		r := a.do(bob, issueCoupon, input)
		r.want("issueCoupon.userErrors.0.code", "COUPON_NOT_VALID", "issueCoupon.userErrors.0.retryable", true)
		return r
	}
	refused(take()) // it has ended

	a.ok(admin, couponUpdate, vars(object{"id": id, "version": 1, "name": " Ten percent ", "validUntil": "2099-01-01T00:00:00Z"})).
		want("couponUpdate.coupon.name", "Ten percent", "couponUpdate.coupon.validFrom", "2020-01-01T00:00:00Z",
			"couponUpdate.coupon.validUntil", "2099-01-01T00:00:00Z", "couponUpdate.coupon.version", 2)
	a.ok(admin, couponUpdate, vars(object{"id": id, "version": 2, "validFrom": nil})).
		want("couponUpdate.coupon.validFrom", nil, "couponUpdate.coupon.validUntil", "2099-01-01T00:00:00Z", "couponUpdate.coupon.name", "Ten percent")
	a.do(admin, couponUpdate, vars(object{"id": id, "version": 2, "name": "Late"})).
		want("couponUpdate.coupon", nil, "couponUpdate.userErrors.0.code", "VERSION_CONFLICT", "couponUpdate.userErrors.0.currentVersion", 3)
	a.do(admin, couponUpdate, vars(object{"id": id, "version": 3, "validFrom": "2099-01-01T00:00:00Z"})). // its end is not given
														want("couponUpdate.coupon", nil, "couponUpdate.userErrors.0.code", "INVALID_INPUT", "couponUpdate.userErrors.0.field", []any{"input", "validFrom"})
	a.do(admin, couponUpdate, vars(object{"id": id, "version": 3, "validFrom": "2099-01-01T00:00:00Z", "validUntil": "2098-01-01T00:00:00Z"})).
		want("couponUpdate.coupon", nil, "couponUpdate.userErrors.0.field", []any{"input", "validUntil"})
	a.ok(nobody, `query($id: ID!) { coupon(id: $id) { version name } }`, object{"id": id}).want("coupon.version", 3, "coupon.name", "Ten percent")
	taken := take()
	a.ok(bob, issueCoupon, taken)

	stopped := a.ok(admin, couponStop, vars(object{"id": id})).text("couponStop.coupon.stoppedAt")
	a.ok(admin, couponStop, vars(object{"id": id})).want("couponStop.coupon.stoppedAt", stopped, "couponStop.coupon.version", 4)
	refused(take()).want("issueCoupon.userErrors.0.message", "this coupon was stopped")
	a.ok(bob, issueCoupon, taken).want("issueCoupon.meta.replayed", true) // it was his before
	a.ok(admin, couponResume, vars(object{"id": id})).want("couponResume.coupon.stoppedAt", nil, "couponResume.coupon.version", 5)
	a.ok(alice, issueCoupon, take())
}

// TestProductsImport imports the same twice, then something else, and looks without changing anything.
func TestProductsImport(t *testing.T) {
	a := newAPI(t, settings{})
	price := object{"amountMinor": "1200", "currency": "USD"}
	mug := object{"sku": "MUG", "name": "Mug", "price": price, "stock": "7"}
	imported := func(want string, input object, products ...object) result {
		t.Helper()
		input["products"] = products
		r := a.ok(admin, productsImport, vars(input))
		results, _ := r.at("productsImport.results").([]any)
		var outcomes []string
		for i := range results {
			outcomes = append(outcomes, fmt.Sprint(r.at(fmt.Sprintf("productsImport.results.%d.outcome", i))))
		}
		if got := strings.Join(outcomes, " "); got != want {
			t.Errorf("%s, want %s: %s", got, want, r.body)
		}
		return r
	}
	imported("CREATED", object{"check": true}, mug).want("productsImport.results.0.productId", nil, "productsImport.results.0.delta", 7)
	first := imported("CREATED CREATED", object{}, mug, object{"sku": "CUP", "name": "Cup", "price": price, "archived": true})
	id := first.text("productsImport.results.0.productId")
	imported("UNCHANGED UNCHANGED", object{}, mug, object{"sku": "CUP", "archived": true})
	mug["stock"] = "4"
	imported("UPDATED", object{"check": true}, mug).want("productsImport.results.0.delta", -3, "productsImport.results.0.available", 7)
	imported("UNCHANGED", object{"stock": "IGNORE"}, mug)
	imported("UPDATED UNARCHIVED ARCHIVED SKIPPED", object{}, mug, object{"sku": "CUP", "archived": false},
		object{"sku": "KB-75", "archived": true}, object{"sku": "NONE", "stock": 1})
	a.ok(nobody, `query($id: ID!) { product(id: $id) { stock { available } } }`, object{"id": id}).want("product.stock.available", 4)
	// It is known by the SKU that it had before; and one refusal keeps nothing else back.
	imported("UPDATED <nil>", object{}, object{"sku": "MUG-2", "formerSkus": []string{"MUG"}, "name": "Mug", "stock": 5},
		object{"sku": "NEW", "price": price}).
		want("productsImport.results.0.productId", id, "productsImport.results.0.sku", "MUG",
			"productsImport.results.1.userErrors.0.field", []any{"input", "products", "1", "name"})
	// Two rows of one product: a look compares each with the product as it is now.
	pen := []object{
		{"sku": "PEN", "name": "Pen", "price": price},
		{"sku": "PEN", "name": "Pen", "price": object{"amountMinor": "900", "currency": "USD"}},
	}
	imported("CREATED CREATED", object{"check": true}, pen...)
	imported("CREATED UPDATED", object{}, pen...)
}

// TestImportOfTheMostRows imports as many products as one request may have with the document of the Playground; each of them is wrong
// in several ways. The default limits serve it, each product's result has an error, and the answer has no more than its cost says.
func TestImportOfTheMostRows(t *testing.T) {
	a := newAPI(t, settings{bare: true})
	products := make([]object, commerce.MaxImport)
	for i := range products {
		products[i] = object{
			"sku": fmt.Sprint("SKU-", i), "name": "X", "price": object{"amountMinor": "-1", "currency": "EUR"}, "stock": "-1",
		}
	}
	tabs := tabs(t, served.Options{})
	tab := slices.IndexFunc(tabs, func(tab web.Tab) bool { return strings.Contains(tab.Query, "productsImport") })
	r := a.ok(admin, tabs[tab].Query, vars(object{"products": products}))
	results, _ := r.at("productsImport.results").([]any)
	told := 0
	for i := range results {
		failures, _ := r.at(fmt.Sprintf("productsImport.results.%d.userErrors", i)).([]any)
		if len(failures) == 0 {
			t.Fatalf("product %d is not refused: %.300s", i, r.body)
		}
		told += len(failures)
	}
	if most := commerce.MaxImport + 25; len(results) != commerce.MaxImport || told != most {
		t.Errorf("%d results with %d errors, want %d with %d", len(results), told, commerce.MaxImport, most)
	}
	// One product's errors are all told.
	r = a.ok(admin, productsImport, vars(object{"products": products[:1]}))
	if failures, _ := r.at("productsImport.results.0.userErrors").([]any); len(failures) != 3 {
		t.Errorf("want errors of the price, its currency and the stock: %s", r.body)
	}
}

// TestOptionalKeys repeats mutations that move no balance, with a key and without.
func TestOptionalKeys(t *testing.T) {
	a := newAPI(t, settings{})
	for name, m := range map[string]struct {
		query, object string
		input         object
		twice         bool // without a key, a repeat makes another object
	}{
		"productCreate": {productCreate, "product", object{
			"sku": "KEYED", "name": "Keyed", "price": object{"amountMinor": "1", "currency": "USD"}, "stock": "1",
		}, false},
		"productUpdate":    {productUpdate, "product", object{"id": "prod_1", "version": 1, "name": "Keyed"}, false},
		"productUnarchive": {productUnarchive, "product", object{"id": "prod_2"}, false},
		"productArchive":   {productArchive, "product", object{"id": "prod_2"}, false},
		"categoryUpdate":   {categoryUpdate, "category", object{"id": "cat_1", "version": 1, "name": "Keyed"}, false},
		"categoryCreate":   {categoryCreate, "category", object{"name": "Keyed"}, true},
		"couponUpdate":     {couponUpdate, "coupon", object{"id": "coup_half", "version": 1, "name": "Keyed"}, false},
		"couponStop":       {couponStop, "coupon", object{"id": "coup_welcome"}, false},
		"couponResume":     {couponResume, "coupon", object{"id": "coup_welcome"}, false},
		"couponCreate": {couponCreate, "coupon", object{
			"name": "Keyed", "discountKind": "FIXED", "discountValue": "1", "quota": "1",
		}, true},
		"accountOpen": {accountOpen, "account", object{"name": "Keyed", "currency": "USD"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			id := name + "." + m.object + ".id"
			m.input["idempotencyKey"] = key()
			first := a.ok(admin, m.query, vars(m.input)).text(id)
			a.ok(admin, m.query, vars(m.input)).want(id, first)
			for _, field := range []string{"name", "id"} {
				if _, ok := m.input[field]; !ok {
					continue
				}
				other := maps.Clone(m.input)
				other[field] = strings.TrimRight(fmt.Sprint(m.input["id"]), "0123456789abcdefghijklmnopqrstuvwxyz") + "3" // another of its kind
				a.do(admin, m.query, vars(other)).want(name+"."+m.object, nil,
					name+".userErrors.0.code", "IDEMPOTENCY_MISMATCH", name+".userErrors.0.field", []any{"input", "idempotencyKey"})
			}
			delete(m.input, "idempotencyKey")
			if m.twice {
				if again := a.ok(admin, m.query, vars(m.input)).text(id); again == first {
					t.Error("without a key, a repeat made nothing")
				}
			}
		})
	}
}

// TestUserErrors sends what the shop refuses, and names the type, the code and the field of each refusal.
func TestUserErrors(t *testing.T) {
	a := newAPI(t, settings{})
	usd := func(minor any) object { return object{"amountMinor": minor, "currency": "USD"} }
	expired := a.coupon(t, commerce.CreateCoupon{Name: "Expired", Quota: 1, PerUserLimit: 1, ValidUntil: at(-time.Hour)})
	early := a.coupon(t, commerce.CreateCoupon{Name: "Early", Quota: 1, PerUserLimit: 1, ValidFrom: at(time.Hour)})
	single := a.coupon(t, commerce.CreateCoupon{Name: "Single", Quota: 1, PerUserLimit: 1})
	a.ok(bob, issueCoupon, vars(object{"idempotencyKey": key(), "couponId": single}))
	a.ok(alice, issueCoupon, vars(object{"idempotencyKey": key(), "couponId": "coup_half"}))
	euro := a.ok(alice, accountOpen, vars(object{"name": "Euro", "currency": "EUR"})).text("accountOpen.account.id")
	used := key()
	a.ok(alice, chargePoints, vars(object{"idempotencyKey": used, "amount": "1"}))

	order := func(lines []object, more ...object) object {
		input := object{"idempotencyKey": key(), "lines": lines}
		for _, m := range more {
			for k, v := range m {
				input[k] = v
			}
		}
		return input
	}
	move := func(from, to string, amount object) object {
		return object{"idempotencyKey": key(), "fromAccountId": from, "toAccountId": to, "amount": amount}
	}
	newProduct := func(more object) object {
		input := object{"sku": "X-" + key()[:8], "name": "X", "price": usd("1"), "stock": "1"}
		for k, v := range more {
			input[k] = v
		}
		return input
	}
	newCoupon := func(more object) object {
		input := object{"name": "C", "discountKind": "PERCENT", "discountValue": "1", "quota": "1"}
		for k, v := range more {
			input[k] = v
		}
		return input
	}
	pay := func(method, account string) object {
		p := object{"method": method}
		if account != "" {
			p["accountId"] = account
		}
		return object{"payment": p}
	}
	for _, c := range []struct {
		name, user, query string
		input             object
		want              string // typename code field, of each error
	}{
		{"unknown product", alice, placeOrder, order(line("prod_0", 1)), "InputError NOT_FOUND input.lines.0.productId"},
		{"no product", alice, placeOrder, order(line("prod_0", 1)), "InputError NOT_FOUND input.lines.0.productId"},
		{"no lines", alice, placeOrder, order([]object{}), "InputError INVALID_INPUT input.lines"},
		{"quantity 0", alice, placeOrder, order(line("prod_1", 0)), "InputError INVALID_INPUT input.lines.0.quantity"},
		{"quantity -1", alice, placeOrder, order(line("prod_1", -1)), "InputError INVALID_INPUT input.lines.0.quantity"},
		{"huge quantity", alice, placeOrder, order(line("prod_1", 2147483647)), "InputError INVALID_INPUT input.lines.0.quantity"},
		{"out of stock", alice, placeOrder, order(line("prod_8", 2)), "OutOfStockError OUT_OF_STOCK input.lines.0.quantity"},
		{
			"both out of stock", alice, placeOrder, order([]object{{"productId": "prod_8", "quantity": 2}, {"productId": "prod_7", "quantity": 11}}),
			"OutOfStockError OUT_OF_STOCK input.lines.1.quantity, OutOfStockError OUT_OF_STOCK input.lines.0.quantity",
		},
		{"unknown coupon to spend", alice, placeOrder, order(line("prod_1", 1), object{"couponIssueId": "cpi_0"}), "InputError NOT_FOUND input.couponIssueId"},
		{"another's coupon", bob, placeOrder, order(line("prod_1", 1), object{"couponIssueId": commerce.DemoIssueID}), "InputError NOT_FOUND input.couponIssueId"},
		{"another's account pays", alice, placeOrder, order(line("prod_1", 1), pay("ACCOUNT", "acct_bob")), "InputError NOT_FOUND input.payment.accountId"},
		{"no account pays", alice, placeOrder, order(line("prod_1", 1), pay("ACCOUNT", "")), "InputError INVALID_INPUT input.payment.accountId"},
		{"an account pays with points", alice, placeOrder, order(line("prod_1", 1), pay("POINTS", "acct_alice")), "InputError INVALID_INPUT input.payment.accountId"},
		{"wrong currency pays", alice, placeOrder, order(line("prod_1", 1), pay("ACCOUNT", euro)), "InputError INVALID_INPUT input.payment.accountId"},
		{"no points", carol, placeOrder, order(line("prod_1", 1), pay("POINTS", "")), "InsufficientFundsError INSUFFICIENT_FUNDS input.payment"},
		{"pay an unknown order", alice, payOrder, object{"idempotencyKey": key(), "orderId": "ord_0", "payment": object{"method": "CARD"}}, "InputError NOT_FOUND input.orderId"},
		{"pay another's order", bob, payOrder, object{"idempotencyKey": key(), "orderId": commerce.DemoOrderID, "payment": object{"method": "CARD"}}, "InputError NOT_FOUND input.orderId"},
		{"cancel another's order", bob, cancelOrder, object{"idempotencyKey": key(), "orderId": commerce.DemoOrderID}, "InputError NOT_FOUND input.orderId"},
		{"unknown coupon", alice, issueCoupon, object{"idempotencyKey": key(), "couponId": "coup_0"}, "InputError NOT_FOUND input.couponId"},
		{"expired coupon", alice, issueCoupon, object{"idempotencyKey": key(), "couponId": expired}, "InputError COUPON_NOT_VALID input.couponId"},
		{"coupon too early", alice, issueCoupon, object{"idempotencyKey": key(), "couponId": early}, "InputError COUPON_NOT_VALID input.couponId"},
		{"coupon exhausted", alice, issueCoupon, object{"idempotencyKey": key(), "couponId": single}, "CouponExhaustedError COUPON_EXHAUSTED input.couponId"},
		{"coupon again", alice, issueCoupon, object{"idempotencyKey": key(), "couponId": "coup_half"}, "InputError COUPON_ALREADY_ISSUED input.couponId"},
		{"no points to charge", alice, chargePoints, object{"idempotencyKey": key(), "amount": "0"}, "InputError INVALID_INPUT input.amount"},
		{"negative points", alice, chargePoints, object{"idempotencyKey": key(), "amount": "-5"}, "InputError INVALID_INPUT input.amount"},
		{"too many points", alice, chargePoints, object{"idempotencyKey": key(), "amount": "9007199254740991"}, "InputError INVALID_INPUT input.amount"},
		{"key of another request", alice, chargePoints, object{"idempotencyKey": used, "amount": "2"}, "InputError IDEMPOTENCY_MISMATCH input.idempotencyKey"},
		{"from another's account", alice, transfer, move("acct_bob", "acct_alice", usd("1")), "InputError NOT_FOUND input.fromAccountId"},
		{"from an unknown account", alice, transfer, move("acct_0", "acct_bob", usd("1")), "InputError NOT_FOUND input.fromAccountId"},
		{"to an unknown account", alice, transfer, move("acct_alice", "acct_0", usd("1")), "InputError NOT_FOUND input.toAccountId"},
		{"to the same account", alice, transfer, move("acct_alice", "acct_alice", usd("1")), "InputError INVALID_INPUT input.toAccountId"},
		{"in the wrong currency", alice, transfer, move("acct_alice", "acct_bob", object{"amountMinor": "1", "currency": "EUR"}), "InputError INVALID_INPUT input.amount.currency"},
		{"between currencies", alice, transfer, move("acct_alice", euro, usd("1")), "InputError INVALID_INPUT input.toAccountId"},
		{"nothing", alice, transfer, move("acct_alice", "acct_bob", usd("0")), "InputError INVALID_INPUT input.amount.amountMinor"},
		{"more than there is", alice, transfer, move("acct_alice", "acct_bob", usd("100000001")), "InsufficientFundsError INSUFFICIENT_FUNDS input.amount.amountMinor"},
		{"nameless account", alice, accountOpen, object{"name": " ", "currency": "usd"}, "InputError INVALID_INPUT input.name, InputError INVALID_INPUT input.currency"},
		{"negative opening", admin, accountOpen, object{"name": "A", "currency": "USD", "openingMinor": "-1"}, "InputError INVALID_INPUT input.openingMinor"},
		{"SKU that exists", admin, productCreate, newProduct(object{"sku": "KB-75"}), "InputError INVALID_INPUT input.sku"},
		{"long name", admin, productCreate, newProduct(object{"name": strings.Repeat("é", 1031)}), "InputError INVALID_INPUT input.name"},
		{"negative price", admin, productCreate, newProduct(object{"price": usd("-1")}), "InputError INVALID_INPUT input.price.amountMinor"},
		{"price in another currency", admin, productCreate, newProduct(object{"price": object{"amountMinor": "1", "currency": "EUR"}}), "InputError INVALID_INPUT input.price.currency"},
		{"negative stock", admin, productCreate, newProduct(object{"stock": "-1"}), "InputError INVALID_INPUT input.stock"},
		{"old version", admin, productUpdate, object{"id": "prod_1", "version": 0, "name": "Y"}, "VersionConflictError VERSION_CONFLICT input.version"},
		{"update of nothing", admin, productUpdate, object{"id": "prod_0", "version": 1}, "InputError NOT_FOUND input.id"},
		{"unarchive nothing", admin, productUnarchive, object{"id": "prod_0"}, "InputError NOT_FOUND input.id"},
		{"many former SKUs", admin, productsImport, object{"products": []object{{"sku": "X", "formerSkus": slices.Repeat([]string{"Y"}, 11)}}}, "InputError INVALID_INPUT input.products"},
		{"archive nothing", admin, productArchive, object{"id": "prod_0"}, "InputError NOT_FOUND input.id"},
		{"points without a reason", admin, pointsAdjust, object{"idempotencyKey": key(), "userId": "user_bob", "delta": 1, "reason": " "}, "InputError INVALID_INPUT input.reason"},
		{"points of nobody", admin, pointsAdjust, object{"idempotencyKey": key(), "userId": "user_0", "delta": 1, "reason": "x"}, "InputError NOT_FOUND input.userId"},
		{"no points to correct", admin, pointsAdjust, object{"idempotencyKey": key(), "userId": "user_bob", "delta": 0, "reason": "x"}, "InputError INVALID_INPUT input.delta"},
		{"more points than there are", admin, pointsAdjust, object{"idempotencyKey": key(), "userId": "user_bob", "delta": "-900000000", "reason": "x"}, "InsufficientFundsError INSUFFICIENT_FUNDS input.delta"},
		{"money without a reason", admin, accountAdjust, object{"idempotencyKey": key(), "accountId": "acct_bob", "deltaMinor": 1, "reason": ""}, "InputError INVALID_INPUT input.reason"},
		{"money of no account", admin, accountAdjust, object{"idempotencyKey": key(), "accountId": "acct_0", "deltaMinor": 1, "reason": "x"}, "InputError NOT_FOUND input.accountId"},
		{"more money than there is", admin, accountAdjust, object{"idempotencyKey": key(), "accountId": "acct_bob", "deltaMinor": "-900000000000", "reason": "x"}, "InsufficientFundsError INSUFFICIENT_FUNDS input.deltaMinor"},
		{"adjust nothing", admin, stockAdjust, object{"idempotencyKey": key(), "productId": "prod_0", "delta": "1"}, "InputError NOT_FOUND input.productId"},
		{"adjust by nothing", admin, stockAdjust, object{"idempotencyKey": key(), "productId": "prod_1", "delta": "0"}, "InputError INVALID_INPUT input.delta"},
		{"adjust below zero", admin, stockAdjust, object{"idempotencyKey": key(), "productId": "prod_7", "delta": "-11"}, "OutOfStockError OUT_OF_STOCK input.delta"},
		{"101 percent", admin, couponCreate, newCoupon(object{"discountValue": "101"}), "InputError INVALID_INPUT input.discountValue"},
		{"no quota", admin, couponCreate, newCoupon(object{"quota": "0"}), "InputError INVALID_INPUT input.quota"},
		{"old version of a coupon", admin, couponUpdate, object{"id": "coup_half", "version": 0, "name": "Y"}, "VersionConflictError VERSION_CONFLICT input.version"},
		{"update of no coupon", admin, couponUpdate, object{"id": "coup_0", "version": 1}, "InputError NOT_FOUND input.id"},
		{"coupon without a name", admin, couponUpdate, object{"id": "coup_half", "version": 1, "name": " "}, "InputError INVALID_INPUT input.name"},
		{"stop nothing", admin, couponStop, object{"id": "coup_0"}, "InputError NOT_FOUND input.id"},
		{"resume nothing", admin, couponResume, object{"id": "coup_0"}, "InputError NOT_FOUND input.id"},
		{"ends before it begins", admin, couponCreate, newCoupon(object{"validFrom": "2031-01-01T00:00:00Z", "validUntil": "2030-01-01T00:00:00Z"}), "InputError INVALID_INPUT input.validUntil"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := a.with(t)
			r := a.do(c.user, c.query, vars(c.input))
			if len(r.Errors) > 0 {
				t.Fatalf("errors: %s", r.body)
			}
			if got := r.userErrors(); got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, r.body)
			}
		})
	}
}

// userErrors shows the type, code and field of each business failure of the one mutation.
func (r result) userErrors() string {
	var list []string
	for field := range r.Data {
		failures, _ := r.at(field + ".userErrors").([]any)
		for i := range failures {
			at := func(name string) any { return r.at(fmt.Sprintf("%s.userErrors.%d.%s", field, i, name)) }
			var path []string
			steps, _ := at("field").([]any)
			for _, step := range steps {
				path = append(path, fmt.Sprint(step))
			}
			list = append(list, fmt.Sprintf("%v %v %s", at("__typename"), at("code"), strings.Join(path, ".")))
		}
	}
	return strings.Join(list, ", ")
}

func (a *api) with(t *testing.T) *api {
	t.Helper()
	copied := *a
	copied.t = t
	return &copied
}

func (a *api) coupon(t *testing.T, in commerce.CreateCoupon) string {
	t.Helper()
	ctx, v := a.as(admin)
	in.DiscountKind, in.DiscountValue = "FIXED", 100
	row, err := a.services.Coupons.Create(ctx, v, in)
	must(t, err)
	return row.ID
}

func at(offset time.Duration) *time.Time {
	when := time.Now().Add(offset).UTC()
	return &when
}

func TestUserErrorDetails(t *testing.T) {
	a := newAPI(t, settings{})
	a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_8", 3)})).want(
		"placeOrder.order", nil, "placeOrder.products", []any{}, "placeOrder.userErrors.0.productId", "prod_8",
		"placeOrder.userErrors.0.requested", 3, "placeOrder.userErrors.0.available", 1,
		"placeOrder.userErrors.0.retryable", true, "placeOrder.userErrors.0.retryAfterMs", nil,
		"placeOrder.meta.strategy", "SETNX")
	a.do(admin, productUpdate, vars(object{"id": "prod_1", "version": 7, "name": "Y"})).
		want("productUpdate.product", nil, "productUpdate.userErrors.0.currentVersion", 1)
	shown := object{"amountMinor": "1000", "currency": "USD"}
	a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "expectedTotal": shown})).want(
		"placeOrder.order", nil, "placeOrder.userErrors.0.__typename", "PriceChangedError", "placeOrder.userErrors.0.code", "PRICE_CHANGED",
		"placeOrder.userErrors.0.retryable", true, "placeOrder.userErrors.0.retryAfterMs", nil, "placeOrder.userErrors.0.expected.amountMinor", "1000",
		"placeOrder.userErrors.0.expected.minorDigits", 2, "placeOrder.userErrors.0.actual.amountMinor", "8900")
	a.do(alice, issueCoupon, vars(object{"idempotencyKey": key(), "couponId": "coup_0"})).
		want("issueCoupon.meta.strategy", "ATOMICSQL", "issueCoupon.meta.attempts", 0)
	a.do(admin, stockAdjust, vars(object{"idempotencyKey": key(), "productId": "prod_8", "delta": "-2"})).
		want("stockAdjust.product", nil, "stockAdjust.userErrors.0.available", 1)

	// A failed order is there, with everything given back. Repeated, its answer knows the reason but not the numbers.
	input := object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}}
	first := a.do(carol, placeOrder, vars(input)).want(
		"placeOrder.order.status", "FAILED", "placeOrder.order.failure.code", "INSUFFICIENT_FUNDS",
		"placeOrder.products.0.stock.available", 250, "placeOrder.userErrors.0.requested", 8900,
		"placeOrder.userErrors.0.available", 0)
	a.do(carol, placeOrder, vars(input)).want("placeOrder.order.id", first.text("placeOrder.order.id"),
		"placeOrder.userErrors.0.code", "INSUFFICIENT_FUNDS", "placeOrder.userErrors.0.__typename", "InputError")
}

func TestPaymentDeclined(t *testing.T) {
	a := newAPI(t, settings{gateway: payments.NewSimulated(payments.SimulatedSettings{AuthorizationFailureRate: 1})})
	r := a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "CARD"}}))
	r.want("placeOrder.order.status", "FAILED", "placeOrder.products.0.stock.available", 250)
	if got, want := r.userErrors(), "PaymentDeclinedError PAYMENT_DECLINED"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPaymentToConfirm: the answers have what the customer confirms the payment with, and nobody else is told.
func TestPaymentToConfirm(t *testing.T) {
	a := newAPI(t, settings{gateway: payments.NewSimulated(payments.SimulatedSettings{ActionRate: 1})})
	const attempt = `attempt { id status reason createdAt amount { amountMinor } action { clientSecret redirectUrl } }`
	placed := a.do(alice, `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
		order { id status } `+attempt+` userErrors { code } } }`,
		vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "CARD"}}))
	id := placed.text("placeOrder.attempt.id")
	placed.want("placeOrder.order.status", "PENDING", "placeOrder.userErrors", "[]", "placeOrder.attempt.status", "REQUIRES_ACTION",
		"placeOrder.attempt.amount.amountMinor", 8900, "placeOrder.attempt.reason", nil,
		"placeOrder.attempt.action.clientSecret", "sim_secret_"+id, "placeOrder.attempt.action.redirectUrl", "/simulated-gateway/"+id)
	a.do(alice, `mutation($input: PayOrderInput!) { payOrder(input: $input) { order { status } `+attempt+` userErrors { code } } }`,
		vars(object{"idempotencyKey": key(), "orderId": placed.text("placeOrder.order.id"), "payment": object{"method": "CARD"}})).want(
		"payOrder.order.status", "PENDING", "payOrder.attempt.id", id, "payOrder.userErrors", "[]")
	a.do(alice, `mutation($input: PayOrderInput!) { payOrder(input: $input) { order { status } `+attempt+` userErrors { code field } } }`,
		vars(object{"idempotencyKey": key(), "orderId": placed.text("placeOrder.order.id"), "payment": object{"method": "CARD", "attemptId": "pat_2"}})).want(
		"payOrder.userErrors.0.code", "NOT_FOUND", "payOrder.userErrors.0.field", "[input payment attemptId]")
	a.do(alice, `mutation($input: ChargePointsInput!) { chargePoints(input: $input) { wallet { balance } `+attempt+` userErrors { code } } }`,
		vars(object{"idempotencyKey": key(), "amount": "10"})).want("chargePoints.userErrors", "[]",
		"chargePoints.attempt.status", "REQUIRES_ACTION", "chargePoints.attempt.amount.amountMinor", 10)
	const order = `query($id: ID!) { order(id: $id) { paymentAttempts { id status action { redirectUrl } } } }`
	of := object{"id": placed.text("placeOrder.order.id")}
	a.ok(alice, order, of).want("order.paymentAttempts.0.id", id, "order.paymentAttempts.0.action.redirectUrl", "/simulated-gateway/"+id)
	a.ok(admin, order, of).want("order.paymentAttempts.0.id", id, "order.paymentAttempts.0.action", nil)
	a.ok(carol, order, of).want("order", nil)
}

// TestPaymentMethodsTaken: what the shop says it takes is what it takes.
func TestPaymentMethodsTaken(t *testing.T) {
	a := newAPI(t, settings{methods: "POINTS,ACCOUNT"})
	a.ok(nobody, `{ shop { currency paymentMethods paymentsSimulated pointsPrice { amountMinor } } }`, nil).want(
		"shop.currency", "USD", "shop.paymentMethods", "[POINTS ACCOUNT]", "shop.paymentsSimulated", false, "shop.pointsPrice.amountMinor", 100)
	r := a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "CARD"}}))
	r.want("placeOrder.order", nil, "placeOrder.userErrors.0.__typename", "PaymentMethodError",
		"placeOrder.userErrors.0.code", "INVALID_INPUT", "placeOrder.userErrors.0.field", "[input payment method]",
		"placeOrder.userErrors.0.method", "CARD", "placeOrder.userErrors.0.taken", "[POINTS ACCOUNT]")
	a.do(alice, chargePoints, vars(object{"idempotencyKey": key(), "amount": "10"})).want(
		"chargePoints.wallet", nil, "chargePoints.userErrors.0.code", "INVALID_STATE")
}

func TestContention(t *testing.T) {
	a := newAPI(t, settings{wait: testenv.Scaled(50 * time.Millisecond)})
	must(t, a.redis.Client.Set(t.Context(), "lock:product:prod_1", "somebody else", 0).Err())
	r := a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)}))
	r.want("placeOrder.userErrors.0.__typename", "ContentionError", "placeOrder.userErrors.0.code", "LOCK_TIMEOUT",
		"placeOrder.userErrors.0.strategy", "SETNX", "placeOrder.userErrors.0.retryable", true,
		"placeOrder.userErrors.0.retryAfterMs", 200, "placeOrder.order", nil)
}

// Those who write products wait for each other without a strategy: then the answer names none.
func TestContentionWithoutAStrategy(t *testing.T) {
	a := newAPI(t, settings{})
	a.db.Ent.Product.Use(func(ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(context.Context, ent.Mutation) (ent.Value, error) { return nil, lockprovider.ErrLockTimeout })
	})
	price := object{"amountMinor": 100, "currency": "USD"}
	for path, r := range map[string]result{
		"productUpdate":  a.do(admin, productUpdate, vars(object{"id": "prod_1", "version": 1, "name": "New"})),
		"productCreate":  a.do(admin, productCreate, vars(object{"sku": key(), "name": "New", "price": price, "stock": 1})),
		"productArchive": a.do(admin, productArchive, vars(object{"id": "prod_1"})),
		"productsImport.results.0": a.do(admin, productsImport, vars(object{
			"products": []object{{"sku": key(), "name": "New", "price": price}},
		})),
	} {
		r.want(path+".userErrors.0.__typename", "InputError", path+".userErrors.0.code", "LOCK_TIMEOUT",
			path+".userErrors.0.retryable", true, path+".userErrors.0.retryAfterMs", 200)
	}
}

func TestUnavailable(t *testing.T) {
	a := newAPI(t, settings{})
	must(t, a.redis.Close())
	r := a.do(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1)}))
	if got, want := r.userErrors(), "UnavailableError UNAVAILABLE "; got != want {
		t.Errorf("got %q, want %q: %s", got, want, r.body)
	}
	if log := a.log.String(); !strings.Contains(log, r.text("placeOrder.meta.requestId")) {
		t.Errorf("the log does not name the request: %s", log)
	}
}

// TestLedgerHolds audits what the mutations have left behind.
func TestLedgerHolds(t *testing.T) {
	a := newAPI(t, settings{})
	for range 3 {
		a.do(alice, placeOrder, vars(object{"idempotencyKey": uuid.NewString(), "lines": line("prod_7", 4), "payment": object{"method": "POINTS"}}))
	}
	a.ok(nobody, `{ product(id: "prod_7") { stock { available } } }`, nil).want("product.stock.available", 2)
	violations, err := ledger.Audit(context.Background(), a.db.Ent)
	must(t, err)
	for _, v := range violations {
		t.Errorf("%s: %s", v.Balance, v.Problem)
	}
}
