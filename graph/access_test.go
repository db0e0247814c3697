package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/graph"
	"holdfast/graph/served"
	"holdfast/lockprovider"
)

// TestOperationsByRole asks every operation as everybody. What may be asked is answered, however little sense the input
// makes; what may not is null, with the one code that says why.
func TestOperationsByRole(t *testing.T) {
	a := newAPI(t, settings{})
	const public, customer, administrator = "public", "customer", "administrator"
	operations := map[string]struct {
		role, query string
		input       object
	}{
		"node":                         {public, `{ node(id: "prod_1") { id } }`, nil},
		"nodes":                        {public, `{ nodes(ids: ["prod_1"]) { id } }`, nil},
		"product":                      {public, `{ product(id: "prod_1") { id } }`, nil},
		"productVariant":               {public, `{ productVariant(id: "var_1") { id } }`, nil},
		"products":                     {public, `{ products { nodes { id } } }`, nil},
		"coupon":                       {public, `{ coupon(id: "coup_half") { id } }`, nil},
		"coupons":                      {public, `{ coupons { nodes { id } } }`, nil},
		"strategies":                   {public, `{ strategies { family } }`, nil},
		"shop":                         {public, `{ shop { currency } }`, nil},
		"popularProducts":              {public, `{ popularProducts { product { id } } }`, nil},
		"schedulerRuns":                {administrator, `{ schedulerRuns { job } }`, nil},
		"stockDrift":                   {administrator, `{ stockDrift { balance } }`, nil},
		"paymentDrift":                 {administrator, `{ paymentDrift { kind } }`, nil},
		"locks":                        {administrator, `{ locks { key } }`, nil},
		"lowStock":                     {administrator, `{ lowStock { threshold } }`, nil},
		"unsettledOrders":              {administrator, `{ unsettledOrders { attempts } }`, nil},
		"unsettledPayments":            {administrator, `{ unsettledPayments { attempts } }`, nil},
		"unsettledRefunds":             {administrator, `{ unsettledRefunds { attempts } }`, nil},
		"reconcileNow":                 {administrator, `mutation { reconcileNow { run { job } userErrors { code } } }`, nil},
		"experiment":                   {administrator, `{ experiment { id } }`, nil},
		"experiments":                  {administrator, `{ experiments { id } }`, nil},
		"startExperiment":              {administrator, startExperiment, object{"rounds": 0}},
		"stopExperiment":               {administrator, stopExperiment, object{}},
		"me":                           {customer, `{ me { id } }`, nil},
		"customer":                     {administrator, `{ customer(id: "user_bob") { id } }`, nil},
		"customers":                    {administrator, `{ customers { nodes { id } } }`, nil},
		"orders":                       {administrator, `{ orders { nodes { id } } }`, nil},
		"order":                        {customer, `{ order(id: "ord_0") { id } }`, nil},
		"queueTicket":                  {customer, `{ queueTicket(id: "qt_0") { id } }`, nil},
		"account":                      {customer, `{ account(id: "acct_0") { id } }`, nil},
		"placeOrder":                   {customer, placeOrder, object{"idempotencyKey": key(), "lines": []object{}}},
		"payOrder":                     {customer, payOrder, object{"idempotencyKey": key(), "orderId": "ord_0", "payment": object{"method": "CARD"}}},
		"cancelOrder":                  {customer, cancelOrder, object{"idempotencyKey": key(), "orderId": "ord_0"}},
		"orderFulfil":                  {administrator, orderFulfil, object{"idempotencyKey": key(), "orderId": "ord_0"}},
		"refundCreate":                 {administrator, refundCreate, object{"idempotencyKey": key(), "orderId": "ord_0", "reason": ""}},
		"returnCreate":                 {administrator, returnCreate, object{"idempotencyKey": key(), "orderId": "ord_0", "reason": "", "lines": []object{}, "restock": true, "refund": true}},
		"issueCoupon":                  {customer, issueCoupon, object{"idempotencyKey": key(), "couponId": "coup_0"}},
		"chargePoints":                 {customer, chargePoints, object{"idempotencyKey": key(), "amount": "0"}},
		"transfer":                     {customer, transfer, object{"idempotencyKey": key(), "fromAccountId": "acct_0", "toAccountId": "acct_1", "amount": object{"amountMinor": 1, "currency": "USD"}}},
		"accountOpen":                  {customer, accountOpen, object{"name": "", "currency": ""}},
		"productCreate":                {administrator, productCreate, object{"sku": "", "name": "", "price": object{"amountMinor": 1, "currency": "USD"}, "stock": 0}},
		"productUpdate":                {administrator, productUpdate, object{"id": "prod_0", "version": 1}},
		"productVariantsCreate":        {administrator, variantsCreate, object{"productId": "prod_0", "variants": []object{}}},
		"productVariantUpdate":         {administrator, variantUpdate, object{"id": "var_0", "version": 1}},
		"productVariantArchive":        {administrator, variantArchive, object{"id": "var_0"}},
		"productVariantUnarchive":      {administrator, variantUnarchive, object{"id": "var_0"}},
		"productUnarchive":             {administrator, productUnarchive, object{"id": "prod_0"}},
		"productsImport":               {administrator, productsImport, object{"products": []object{}}},
		"productArchive":               {administrator, productArchive, object{"id": "prod_0"}},
		"stockAdjust":                  {administrator, stockAdjust, object{"idempotencyKey": key(), "productId": "prod_0", "delta": 1}},
		"pointsAdjust":                 {administrator, pointsAdjust, object{"idempotencyKey": key(), "userId": "user_0", "delta": 1, "reason": ""}},
		"accountAdjust":                {administrator, accountAdjust, object{"idempotencyKey": key(), "accountId": "acct_0", "deltaMinor": 1, "reason": ""}},
		"adjustments":                  {administrator, `{ adjustments { nodes { reason } } }`, nil},
		"couponUpdate":                 {administrator, couponUpdate, object{"id": "coup_0", "version": 1}},
		"couponStop":                   {administrator, couponStop, object{"id": "coup_0"}},
		"couponResume":                 {administrator, couponResume, object{"id": "coup_0"}},
		"cart":                         {public, `{ cart(id: "cart_0") { id } }`, nil},
		"cartCreate":                   {public, cartCreate, object{}},
		"cartLinesAdd":                 {public, cartLinesAdd, object{"cartId": "cart_0", "lines": []object{}}},
		"cartLinesUpdate":              {public, cartLinesUpdate, object{"cartId": "cart_0", "lines": []object{}}},
		"cartLinesRemove":              {public, cartLinesRemove, object{"cartId": "cart_0", "productIds": []string{}}},
		"cartBuyerIdentityUpdate":      {customer, cartBuyerIdentityUpdate, object{"cartId": "cart_0"}},
		"cartCheckout":                 {customer, cartCheckout, object{"cartId": "cart_0", "idempotencyKey": key()}},
		"category":                     {public, `{ category(id: "cat_1") { id } }`, nil},
		"categories":                   {public, `{ categories { nodes { id } } }`, nil},
		"categoryCreate":               {administrator, categoryCreate, object{"name": ""}},
		"categoryUpdate":               {administrator, categoryUpdate, object{"id": "cat_0", "version": 1}},
		"categoryDelete":               {administrator, categoryDelete, object{"id": "cat_0"}},
		"hold":                         {customer, `{ hold(id: "hold_0") { id } }`, nil},
		"holdCreate":                   {customer, holdCreate, object{"idempotencyKey": key(), "lines": []object{}, "ttlSeconds": 60}},
		"holdExtend":                   {customer, holdExtend, object{"id": "hold_0", "ttlSeconds": 60}},
		"holdRelease":                  {customer, holdRelease, object{"id": "hold_0"}},
		"customerUpdate":               {customer, customerUpdate, object{"contact": object{}}},
		"customerAddressCreate":        {customer, customerAddressCreate, object{"address": emptyAddress}},
		"customerAddressUpdate":        {customer, customerAddressUpdate, object{"id": "addr_0", "address": emptyAddress}},
		"customerAddressDelete":        {customer, customerAddressDelete, object{"id": "addr_0"}},
		"customerDefaultAddressUpdate": {customer, customerDefaultAddressUpdate, object{"id": "addr_0"}},
		"couponCreate":                 {administrator, couponCreate, object{"name": "", "discountKind": "FIXED", "discountValue": 0, "quota": 0}},
	}
	schema := graph.Served(served.Options{})
	for _, field := range append(schema.Query.Fields, schema.Mutation.Fields...) {
		if _, ok := operations[field.Name]; !ok && !strings.HasPrefix(field.Name, "__") {
			t.Errorf("no test asks %s", field.Name)
		}
	}
	for name, operation := range operations {
		var variables object
		if operation.input != nil {
			variables = vars(operation.input)
		}
		for _, user := range []string{nobody, bob, admin} {
			want := ""
			switch {
			case user == nobody && operation.role != public:
				want = "UNAUTHENTICATED"
			case user == bob && operation.role == administrator:
				want = "FORBIDDEN"
			}
			r := a.do(user, operation.query, variables)
			got := ""
			if len(r.Errors) > 0 {
				got = fmt.Sprint(r.Errors[0].Extensions["code"])
			}
			if got != want || want != "" && r.at(name) != nil {
				t.Errorf("%s as %q: got %q, want %q: %s", name, user, got, want, r.body)
			}
		}
	}
}

// TestFieldsByRole asks for every field below the root that needs a role, as everybody. Who may not see it is told so, and sees the
// rest of the object.
func TestFieldsByRole(t *testing.T) {
	a := newAPI(t, settings{})
	a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}}))
	const popular = `{ popularProducts { product { id } %s } }`
	until(t, "a sale to be counted", func() bool {
		sold, _ := a.ok(nobody, fmt.Sprintf(popular, ""), nil).at("popularProducts").([]any)
		return len(sold) > 0
	})
	fields := map[string]struct{ query, beside, path string }{
		"Product.stockHistory":        {`{ product(id: "prod_1") { id stockHistory { nodes { kind } } } }`, "product.id", "product.stockHistory.nodes.0.kind"},
		"ProductVariant.stockHistory": {`{ productVariant(id: "var_1") { id stockHistory { nodes { kind } } } }`, "productVariant.id", "productVariant.stockHistory.nodes.0.kind"},
		"PopularProduct.orders":       {fmt.Sprintf(popular, "orders"), "popularProducts.0.product.id", "popularProducts.0.orders"},
		"PopularProduct.units":        {fmt.Sprintf(popular, "units"), "popularProducts.0.product.id", "popularProducts.0.units"},
		"PopularProduct.revenue":      {fmt.Sprintf(popular, "revenue { amountMinor }"), "popularProducts.0.product.id", "popularProducts.0.revenue.amountMinor"},
	}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			root := d == schema.Query || d == schema.Mutation || d == schema.Subscription
			if _, ok := fields[d.Name+"."+f.Name]; !ok && !root && f.Directives.ForName("auth") != nil {
				t.Errorf("no test asks for %s.%s", d.Name, f.Name)
			}
		}
	}
	for name, field := range fields {
		for user, code := range map[string]string{nobody: "UNAUTHENTICATED", bob: "FORBIDDEN", admin: ""} {
			r := a.do(user, field.query, nil)
			if r.at(field.beside) == nil || (r.at(field.path) != nil) != (code == "") {
				t.Errorf("%s as %q: %s", name, user, r.body)
			}
			if code != "" {
				r.wantError(code)
			}
		}
	}
}

// TestWhatIsNotOnSale looks for a product that is off sale, and for a coupon that begins later: both are for administrators. An order
// shows its products to its customer, whatever has become of them.
func TestWhatIsNotOnSale(t *testing.T) {
	a := newAPI(t, settings{})
	order := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_2", 1), "payment": object{"method": "POINTS"}})).
		text("placeOrder.order.id")
	const popular = `{ popularProducts { product { id } } }`
	until(t, "a sale to be counted", func() bool { return strings.Contains(a.ok(nobody, popular, nil).body, "prod_2") })
	a.ok(admin, productArchive, vars(object{"id": "prod_2"}))
	soon := a.coupon(t, commerce.CreateCoupon{Name: "Later", Quota: 1, PerUserLimit: 1, ValidFrom: at(time.Hour)})

	for what, query := range map[string]string{
		"product": `{ product(id: "prod_2") { id } }`, "product by node": `{ node(id: "prod_2") { id } }`, "popular": popular,
		"coupon": `{ coupon(id: "` + soon + `") { id } }`, "coupon by node": `{ node(id: "` + soon + `") { id } }`,
		"coupons": `{ coupons(first: 100) { nodes { id } } }`,
	} {
		for _, user := range []string{nobody, bob, alice, admin} {
			r := a.ok(user, query, nil)
			if seen := strings.Contains(r.body, "prod_2") || strings.Contains(r.body, soon); seen != (user == admin) {
				t.Errorf("%s as %q: %s", what, user, r.body)
			}
		}
	}
	const all = `{ products(filter: {includeArchived: true}) { nodes { id } } }`
	a.do(nobody, all, nil).wantError("UNAUTHENTICATED")
	a.do(bob, all, nil).wantError("FORBIDDEN")
	if r := a.ok(admin, all, nil); !strings.Contains(r.body, "prod_2") {
		t.Errorf("an administrator sees %s", r.body)
	}
	s := a.socket(bob)
	s.subscribe("1", watchStock, object{"ids": []string{"prod_2"}})
	s.want("error", "1").wantError("BAD_USER_INPUT")
	a.ok(alice, `query($id: ID!) { order(id: $id) { lines { product { id archivedAt } } } }`, object{"id": order}).
		want("order.lines.0.product.id", "prod_2")
}

// TestAdminOnlyParts are those of an operation that customers may otherwise use.
func TestAdminOnlyParts(t *testing.T) {
	a := newAPI(t, settings{})
	for _, input := range []object{
		{"name": "Mine", "currency": "USD", "openingMinor": "1"},
		{"name": "His", "currency": "USD", "userId": "user_bob"},
	} {
		a.do(alice, accountOpen, vars(input)).wantError("FORBIDDEN")
	}
	a.ok(alice, accountOpen, vars(object{"name": "Mine", "currency": "USD", "userId": "user_alice", "openingMinor": "0"}))
}

// TestOwnership asks for what belongs to somebody else: it is as if it were not there.
func TestOwnership(t *testing.T) {
	a := newAPI(t, settings{})
	query := fmt.Sprintf(`{ order(id: %q) { id } account(id: "acct_alice") { id } }`, commerce.DemoOrderID)
	a.ok(alice, query, nil).want("order.id", commerce.DemoOrderID, "account.id", "acct_alice")
	a.ok(bob, query, nil).want("order", nil, "account", nil)
	a.ok(admin, query, nil).want("order.id", commerce.DemoOrderID, "account.id", "acct_alice")
	a.ok(admin, `{ account(id: "acct_alice") { balance { amountMinor } entries { pageInfo { hasNextPage } } } }`, nil)
}

// TestNode fetches one object of every type that is a Node, as its owner, as another customer and as nobody.
func TestNode(t *testing.T) {
	a := newAPI(t, settings{stock: lockprovider.Queue})
	ticket := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "wait": false})).
		text("placeOrder.ticket.id")
	paid := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}}))
	orderID := paid.text("placeOrder.order.id")
	moved := a.ok(alice, transfer, vars(object{
		"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "acct_bob",
		"amount": object{"amountMinor": "1", "currency": "USD"},
	})).text("transfer.transfer.id")
	entries := a.ok(alice, `{ me { wallet { entries { nodes { id } } } account: accounts { nodes { entries { nodes { id } } } } } }`, nil)

	held := a.ok(alice, holdCreate, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "ttlSeconds": 60})).text("holdCreate.hold.id")

	nodes := map[string]struct {
		id     string
		public bool
		bobs   bool // Bob may see it as well: he received the transfer
	}{
		"Product":        {id: "prod_1", public: true},
		"ProductVariant": {id: "var_1", public: true},
		"Coupon":         {id: "coup_half", public: true},
		"Category":       {id: "cat_1", public: true},
		"CouponIssue":    {id: commerce.DemoIssueID},
		"Order":          {id: orderID},
		"QueueTicket":    {id: ticket},
		"Hold":           {id: held},
		"Payment":        {id: strings.Replace(orderID, "ord_", "pay_", 1)},
		"Account":        {id: "acct_alice"},
		"Transfer":       {id: moved, bobs: true},
		"Entry":          {id: entries.text("me.wallet.entries.nodes.0.id")},
		"Customer":       {id: "user_alice"},
		"Wallet":         {id: "wallet_alice"},
	}
	for _, implementation := range graph.Served(served.Options{}).PossibleTypes["Node"] {
		if _, ok := nodes[implementation.Name]; !ok {
			t.Errorf("no test asks for a %s", implementation.Name)
		}
	}
	const query = `query($id: ID!) { node(id: $id) { __typename id } }`
	for name, node := range nodes {
		a.ok(alice, query, object{"id": node.id}).want("node.__typename", name, "node.id", node.id)
		for user, sees := range map[string]bool{bob: node.public || node.bobs, nobody: node.public} {
			if r := a.ok(user, query, object{"id": node.id}); (r.at("node") != nil) != sees {
				t.Errorf("%s as %q: %s", name, user, r.body)
			}
		}
	}
	a.ok(alice, query, object{"id": entries.text("me.account.nodes.0.entries.nodes.0.id")}).want("node.__typename", "Entry")
	// All of them at once are what each of them is alone.
	var ids []string
	for _, node := range nodes {
		ids = append(ids, node.id, "prod_0")
	}
	for _, user := range []string{alice, bob, nobody} {
		together := a.ok(user, `query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`, object{"ids": ids})
		for i, id := range ids {
			together.want(fmt.Sprint("nodes.", i), a.ok(user, query, object{"id": id}).at("node"))
		}
	}
	for _, id := range []string{"", "_", "prod_", "prod_0", "nothing", "user_", "wallet_", "entry_x", "entry_007", "entry_0", "pay_", "PROD_1"} {
		a.ok(alice, query, object{"id": id}).want("node", nil)
	}
}

// TestNodesAreBounded asks for many objects by their identifiers: they are read together, and too many are refused before.
func TestNodesAreBounded(t *testing.T) {
	a := newAPI(t, settings{})
	const query = `query($ids: [ID!]!) { nodes(ids: $ids) { id } shop { currency } }`
	var ids []string
	for i := range 100 {
		row, err := a.services.Catalog.Create(t.Context(), commerce.Viewer{UserID: admin, Admin: true}, commerce.CreateProduct{
			SKU: fmt.Sprint("N-", i), Name: "Thing", Price: commerce.Money{Minor: 100, Currency: "USD"},
		})
		must(t, err)
		ids = append(ids, row.ID)
	}
	count := func(ids []string) int64 {
		before := a.queries.Load()
		a.ok(bob, query, object{"ids": ids}).want("nodes."+fmt.Sprint(len(ids)-1)+".id", ids[len(ids)-1])
		return a.queries.Load() - before
	}
	if one, many := count(ids[:1]), count(ids); one == 0 || many != one {
		t.Errorf("%d queries for one product, %d for a hundred", one, many)
	}
	r := a.do(bob, query, object{"ids": append(ids, "prod_1")})
	r.wantError("BAD_USER_INPUT")
	r.want("nodes", nil, "shop.currency", "USD")
	if got := fmt.Sprint(r.Errors[0].Extensions["field"]); got != "[ids]" || len(r.Errors) != 1 {
		t.Errorf("too many identifiers: field %s: %s", got, r.body)
	}
	a.ok(bob, query, object{"ids": []string{}}).want("nodes", "[]")
	// Each identifier costs what its object costs.
	var aliases strings.Builder
	for i := range 25 {
		fmt.Fprintf(&aliases, " a%d: nodes(ids: $ids) { id }", i)
	}
	if message := a.do(bob, "query($ids: [ID!]!) {"+aliases.String()+" }", object{"ids": ids}).wantError("GRAPHQL_VALIDATION_FAILED"); !strings.Contains(message, "complexity") {
		t.Errorf("25 times a hundred objects: %s", message)
	}
	// A store that fails takes no other objects away.
	_, err := a.db.Pools()["writer"].ExecContext(t.Context(), "ALTER TABLE coupons RENAME TO taken_away")
	must(t, err)
	r = a.do(bob, query, object{"ids": []string{"prod_1", "coup_half", "prod_2"}})
	r.want("nodes.0.id", "prod_1", "nodes.1", nil, "nodes.2.id", "prod_2", "shop.currency", "USD")
	if len(r.Errors) != 1 || fmt.Sprint(r.Errors[0].Path) != "[nodes 1]" {
		t.Errorf("the errors are %s", r.body)
	}
}

// TestTokens sends tokens that are not valid: the request ends with 401, also where nobody had to be known.
func TestTokens(t *testing.T) {
	a := newAPI(t, settings{})
	sign := func(method jwt.SigningMethod, with any, claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(method, claims).SignedString(with)
		must(t, err)
		return "Bearer " + text
	}
	claims := func(more jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"sub": alice, "iss": issuer, "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"CUSTOMER"}}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	good := sign(jwt.SigningMethodHS256, secret, claims(nil))
	send := func(header http.Header) result {
		header.Set("Content-Type", "application/json")
		return a.send(http.MethodPost, "", header, []byte(`{"query":"{ products { nodes { id } } }"}`))
	}
	if r := send(http.Header{"Authorization": {good}}); r.status != http.StatusOK {
		t.Fatalf("a good token was refused: %s", r.body)
	}
	if r := send(http.Header{"Authorization": {strings.Replace(good, "Bearer", "bearer", 1)}}); r.status != http.StatusOK {
		t.Errorf("the scheme's case matters: %s", r.body)
	}
	tampered := []byte(good)
	tampered[len(tampered)/2] ^= 1
	for name, header := range map[string][]string{
		"nothing":          {""},
		"no scheme":        {strings.TrimPrefix(good, "Bearer ")},
		"another scheme":   {"Basic YWxpY2U6YWxpY2U="},
		"no token":         {"Bearer "},
		"no JWT":           {"Bearer alice"},
		"two headers":      {good, good},
		"tampered":         {string(tampered)},
		"another secret":   {sign(jwt.SigningMethodHS256, []byte("another secret, also of 32 bytes or more"), claims(nil))},
		"another method":   {sign(jwt.SigningMethodHS512, secret, claims(nil))},
		"no signature":     {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil))},
		"expired":          {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}))},
		"never expires":    {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"exp": nil}))},
		"not yet valid":    {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}))},
		"another issuer":   {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"iss": "somebody"}))},
		"no issuer":        {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"iss": nil}))},
		"no subject":       {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"sub": nil}))},
		"a colon":          {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"sub": "a:b"}))},
		"a long subject":   {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"sub": strings.Repeat("a", 57)}))},
		"no role":          {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"roles": []string{"GUEST"}}))},
		"roles of no list": {sign(jwt.SigningMethodHS256, secret, claims(jwt.MapClaims{"roles": "ADMIN"}))},
		"far too long":     {"Bearer " + strings.Repeat("a", 9000)},
	} {
		r := send(http.Header{"Authorization": header})
		if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" || r.Data != nil {
			t.Errorf("%s: status %d, want 401: %s", name, r.status, r.body)
			continue
		}
		message := r.wantError("UNAUTHENTICATED")
		if expired := strings.Contains(message, "expired"); expired != (name == "expired") {
			t.Errorf("%s: the message is %q", name, message)
		}
	}
}

// TestIssue makes what a command line prints.
func TestIssue(t *testing.T) {
	if _, err := auth.Issue([]byte("short"), issuer, "", alice, []auth.Role{auth.Customer}, time.Hour); err == nil {
		t.Error("a short secret is accepted")
	}
	for name, issue := range map[string]func() (string, error){
		"subject": func() (string, error) {
			return auth.Issue(secret, issuer, "", "a b", []auth.Role{auth.Customer}, time.Hour)
		},
		"roles": func() (string, error) { return auth.Issue(secret, issuer, "", alice, nil, time.Hour) },
		"ttl":   func() (string, error) { return auth.Issue(secret, issuer, "", alice, []auth.Role{auth.Customer}, 0) },
	} {
		if text, err := issue(); err == nil {
			t.Errorf("a bad %s is accepted: %s", name, text)
		}
	}
	if _, err := auth.NewVerifier([]byte("short"), issuer, ""); err == nil {
		t.Error("a verifier takes a short secret")
	}
	if _, err := auth.NewVerifier(secret, "", ""); err == nil {
		t.Error("a verifier takes any issuer")
	}
	verifier, err := auth.NewVerifier(secret, issuer, "")
	must(t, err)
	viewer, err := verifier.Verify(token(t, admin))
	must(t, err)
	if got, _ := json.Marshal(viewer); viewer.UserID != admin || !viewer.Admin || viewer.Name != admin {
		t.Errorf("got %s", got)
	}
}

// tokenUntil is a token of alice's that expires at a given time.
func tokenUntil(t *testing.T, at time.Time) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": alice, "iss": issuer, "exp": at.Unix(), "roles": []string{"CUSTOMER"},
	}).SignedString(secret)
	must(t, err)
	return text
}
