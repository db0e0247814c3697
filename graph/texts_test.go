package graph_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"

	limits "holdfast/ent/schema"
)

// textScripts are texts of one to four bytes a character, and such as have several characters in what people see as one.
var textScripts = []string{"a", "한국어", "👩\u200d🚀🦀", "e\u0301a\u0323\u030a", "שלוםمرحبا"}

func textOf(script string, characters int) string {
	return string([]rune(strings.Repeat(script, characters))[:characters])
}

// writtenText is an input field of a text that people write. It may have so many characters.
type writtenText struct {
	most     int
	mutation string
	input    func(a *api, text string) object
}

// TestEveryTextAtItsLimit walks the schema: each text of an input that people write is accepted at its limit, in every script, and is
// refused by name behind it. Each other text may be refused, accepted, or find nothing; it is no fault of the system.
func TestEveryTextAtItsLimit(t *testing.T) {
	a := newAPI(t, settings{})
	price := object{"amountMinor": 1, "currency": "USD"}
	newProduct := func(a *api) string {
		r := a.ok(admin, productCreate, vars(object{"sku": key(), "name": "A", "price": price, "stock": 9}))
		return r.text("productCreate.product.id")
	}
	newOrder := func(a *api, fulfilled bool) (productID, orderID string) {
		productID = newProduct(a)
		r := a.ok(alice, placeOrder, vars(object{"idempotencyKey": key(), "lines": line(productID, 1), "payment": object{"method": "POINTS"}}))
		orderID = r.text("placeOrder.order.id")
		if fulfilled {
			a.ok(admin, orderFulfil, vars(object{"idempotencyKey": key(), "orderId": orderID}))
		}
		return productID, orderID
	}
	newCoupon := func(a *api) string {
		return a.ok(admin, couponCreate, vars(object{
			"name": "A", "discountKind": "FIXED", "discountValue": 1, "quota": 1, "perUserLimit": 1,
		})).text("couponCreate.coupon.id")
	}
	product := func(change object) func(*api, string) object {
		return func(_ *api, text string) object {
			in := object{"sku": key(), "name": "A", "price": price, "stock": 1}
			for name := range change {
				in[name] = text
				if name == "tags" {
					in[name] = []string{text}
				}
			}
			return in
		}
	}
	updated := func(name string) func(*api, string) object {
		return func(a *api, text string) object {
			in := product(object{name: nil})(a, text)
			return object{"id": newProduct(a), "version": 1, name: in[name]}
		}
	}
	pictured := func(name string) func(*api, string) object {
		return func(_ *api, text string) object {
			image := object{"url": "https://cdn.example.com/1.jpg"}
			image[name] = text
			return object{"sku": key(), "name": "A", "price": price, "stock": 1, "images": []object{image}}
		}
	}
	imported := func(name string) func(*api, string) object {
		return func(_ *api, text string) object {
			row := object{"sku": key(), "name": "A", "price": price}
			row[name] = text
			switch name {
			case "tags", "category":
				row[name] = []string{text}
			case "options", "optionValues":
				row["handle"], row["optionValues"] = "h-"+key(), []string{"M"}
				row[name] = []string{text}
			}
			return object{"products": []object{row}}
		}
	}
	a.ok(admin, customerAddressCreate, vars(object{"address": inCity("Ulm")}))
	book := a.ok(admin, `{ me { addresses { id } } }`, nil).text("me.addresses.0.id")
	addressed := func(name string) func(*api, string) object {
		return func(_ *api, text string) object {
			in := inCity("Ulm")
			in[name] = text
			if name == "lines" {
				in[name] = []string{text}
			}
			return object{"id": book, "address": in}
		}
	}
	contacted := func(name string) func(*api, string) object {
		return func(_ *api, text string) object {
			in := object{"phone": "1234567"}
			in[name] = text
			return object{"contact": in}
		}
	}
	written := map[string]writtenText{
		"AddressInput.name":       {limits.MaxName, customerAddressUpdate, addressed("name")},
		"AddressInput.lines":      {limits.MaxAddressLine, customerAddressUpdate, addressed("lines")},
		"AddressInput.city":       {limits.MaxCity, customerAddressUpdate, addressed("city")},
		"AddressInput.region":     {limits.MaxRegion, customerAddressUpdate, addressed("region")},
		"AddressInput.postalCode": {limits.MaxPostalCode, customerAddressUpdate, addressed("postalCode")},
		"ContactInput.name":       {limits.MaxName, customerUpdate, contacted("name")},
		"AccountOpenInput.name":   {limits.MaxName, accountOpen, func(_ *api, text string) object { return object{"name": text, "currency": "USD"} }},
		"AccountAdjustInput.reason": {limits.MaxReason, accountAdjust, func(_ *api, text string) object {
			return object{"idempotencyKey": key(), "accountId": "acct_alice", "deltaMinor": 1, "reason": text}
		}},
		"PointsAdjustInput.reason": {limits.MaxReason, pointsAdjust, func(_ *api, text string) object {
			return object{"idempotencyKey": key(), "userId": "user_alice", "delta": 1, "reason": text}
		}},
		"StockAdjustInput.reason": {200, stockAdjust, func(_ *api, text string) object {
			return object{"idempotencyKey": key(), "productId": "prod_1", "delta": 1, "reason": text}
		}},
		"ProductCreateInput.sku": {limits.MaxSKU, productCreate, product(object{"sku": nil})},
		"ProductCreateInput.options": {limits.MaxOption, productCreate, func(_ *api, text string) object {
			return object{"name": "A", "options": []string{text}, "variants": []object{{"sku": key(), "options": []string{"M"}, "price": price}}}
		}},
		"ProductVariantInput.options": {limits.MaxOption, productCreate, func(_ *api, text string) object {
			return object{"name": "A", "options": []string{"Size"}, "variants": []object{{"sku": key(), "options": []string{text}, "price": price}}}
		}},
		"ProductVariantInput.sku": {limits.MaxSKU, productCreate, func(_ *api, text string) object {
			_, first := utf8.DecodeRuneInString(text)
			return object{"name": "A", "options": []string{"Size"}, "variants": []object{{"sku": "z" + text[first:], "options": []string{"M"}, "price": price}}}
		}},
		"ProductVariantUpdateInput.options": {limits.MaxOption, variantUpdate, func(a *api, text string) object {
			of := a.ok(admin, productCreate, vars(object{
				"name": "A", "options": []string{"Size"}, "variants": []object{{"sku": key(), "options": []string{"M"}, "price": price}},
			})).text("productCreate.product.id")
			return object{"id": strings.Replace(of, "prod_", "var_", 1), "version": 1, "options": []string{text}}
		}},
		"ProductOptionInput.name": {limits.MaxOption, productUpdate, func(a *api, text string) object {
			return object{"id": newProduct(a), "version": 1, "options": []object{{"name": text, "value": "M"}}}
		}},
		"ProductOptionInput.value": {limits.MaxOption, productUpdate, func(a *api, text string) object {
			return object{"id": newProduct(a), "version": 1, "options": []object{{"name": "Size", "value": text}}}
		}},
		"ProductCreateInput.name":        {limits.MaxProductName, productCreate, product(object{"name": nil})},
		"ProductCreateInput.description": {limits.MaxDescription, productCreate, product(object{"description": nil})},
		"ProductUpdateInput.name": {limits.MaxProductName, productUpdate, func(a *api, text string) object {
			return object{"id": newProduct(a), "version": 1, "name": text}
		}},
		"ProductUpdateInput.description": {limits.MaxDescription, productUpdate, func(a *api, text string) object {
			return object{"id": newProduct(a), "version": 1, "description": text}
		}},
		"ProductCreateInput.vendor":      {limits.MaxVendor, productCreate, product(object{"vendor": nil})},
		"ProductCreateInput.productType": {limits.MaxProductType, productCreate, product(object{"productType": nil})},
		"ProductCreateInput.tags":        {limits.MaxTag, productCreate, product(object{"tags": nil})},
		"ProductUpdateInput.vendor":      {limits.MaxVendor, productUpdate, updated("vendor")},
		"ProductUpdateInput.productType": {limits.MaxProductType, productUpdate, updated("productType")},
		"ProductUpdateInput.tags":        {limits.MaxTag, productUpdate, updated("tags")},
		"ImageInput.altText":             {limits.MaxAltText, productCreate, pictured("altText")},
		"CategoryCreateInput.name":       {limits.MaxName, categoryCreate, func(_ *api, text string) object { return object{"name": text} }},
		"CategoryUpdateInput.name": {limits.MaxName, categoryUpdate, func(a *api, text string) object {
			r := a.ok(admin, categoryCreate, vars(object{"name": "A"}))
			return object{"id": r.text("categoryCreate.category.id"), "version": 1, "name": text}
		}},
		"ProductImport.sku":          {limits.MaxSKU, productsImport, imported("sku")},
		"ProductImport.name":         {limits.MaxProductName, productsImport, imported("name")},
		"ProductImport.description":  {limits.MaxDescription, productsImport, imported("description")},
		"ProductImport.vendor":       {limits.MaxVendor, productsImport, imported("vendor")},
		"ProductImport.productType":  {limits.MaxProductType, productsImport, imported("productType")},
		"ProductImport.tags":         {limits.MaxTag, productsImport, imported("tags")},
		"ProductImport.options":      {limits.MaxOption, productsImport, imported("options")},
		"ProductImport.optionValues": {limits.MaxOption, productsImport, imported("optionValues")},
		"ProductImport.category":     {limits.MaxName, productsImport, imported("category")},
		"CouponCreateInput.name": {limits.MaxName, couponCreate, func(_ *api, text string) object {
			return object{"name": text, "discountKind": "FIXED", "discountValue": 1, "quota": 1, "perUserLimit": 1}
		}},
		"CouponUpdateInput.name": {limits.MaxName, couponUpdate, func(a *api, text string) object {
			return object{"id": newCoupon(a), "version": 1, "name": text}
		}},
		"OrderFulfilInput.tracking": {limits.MaxTracking, orderFulfil, func(a *api, text string) object {
			_, orderID := newOrder(a, false)
			return object{"idempotencyKey": key(), "orderId": orderID, "tracking": text}
		}},
		"RefundCreateInput.reason": {limits.MaxReason, refundCreate, func(a *api, text string) object {
			_, orderID := newOrder(a, false)
			return object{"idempotencyKey": key(), "orderId": orderID, "amount": price, "reason": text}
		}},
		"ReturnCreateInput.reason": {limits.MaxReason, returnCreate, func(a *api, text string) object {
			productID, orderID := newOrder(a, true)
			return object{"idempotencyKey": key(), "orderId": orderID, "lines": line(productID, 1), "restock": true, "refund": true, "reason": text}
		}},
	}
	// What names something, rather than being written by people: it has no limit of its own, and whatever is long names nothing.
	query := func(text string) func(a *api) result { return func(a *api) result { return a.do(admin, text, nil) } }
	sent := func(mutation string, input func(*api, string) object) func(text string) func(a *api) result {
		return func(text string) func(a *api) result {
			return func(a *api) result { return a.do(admin, mutation, vars(input(a, text))) }
		}
	}
	names := map[string]func(text string) func(a *api) result{
		"AddressInput.phone":       sent(customerAddressUpdate, addressed("phone")),
		"AddressInput.countryCode": sent(customerAddressUpdate, addressed("countryCode")),
		"ContactInput.phone":       sent(customerUpdate, contacted("phone")),
		"ContactInput.email":       sent(customerUpdate, contacted("email")),
		"ProductFilter.search": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(first: 1, filter: { search: %q }) { nodes { id } } }`, text))
		},
		"ProductFilter.vendor": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(first: 1, filter: { vendor: %q }) { nodes { id } } }`, text))
		},
		"ProductFilter.productType": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(first: 1, filter: { productType: %q }) { nodes { id } } }`, text))
		},
		"ProductFilter.tag": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(first: 1, filter: { tag: %q }) { nodes { id } } }`, text))
		},
		"handle": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ product(handle: %q) { id } category(handle: %q) { id } }`, text, text))
		},
		"ProductCreateInput.handle":  sent(productCreate, product(object{"handle": nil})),
		"ProductUpdateInput.handle":  sent(productUpdate, updated("handle")),
		"CategoryCreateInput.handle": sent(categoryCreate, func(_ *api, text string) object { return object{"name": "A", "handle": text} }),
		"CategoryUpdateInput.handle": sent(categoryUpdate, func(_ *api, text string) object { return object{"id": "cat_1", "version": 1, "handle": text} }),
		"ImageInput.url":             sent(productCreate, pictured("url")),
		"after": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(first: 1, after: %q) { nodes { id } } }`, text))
		},
		"before": func(text string) func(a *api) result {
			return query(fmt.Sprintf(`{ products(last: 1, before: %q) { nodes { id } } }`, text))
		},
		"AccountOpenInput.currency": func(text string) func(a *api) result {
			return func(a *api) result { return a.do(alice, accountOpen, vars(object{"name": "A", "currency": text})) }
		},
		"MoneyInput.currency": func(text string) func(a *api) result {
			return func(a *api) result {
				return a.do(alice, transfer, vars(object{
					"idempotencyKey": key(), "fromAccountId": "acct_alice", "toAccountId": "acct_bob", "amount": object{"amountMinor": 1, "currency": text},
				}))
			}
		},
		"PaymentInput.token": func(text string) func(a *api) result {
			return func(a *api) result {
				return a.do(alice, placeOrder, vars(object{
					"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "CARD", "token": text},
				}))
			}
		},
		"ChargePointsInput.token": func(text string) func(a *api) result {
			return func(a *api) result {
				return a.do(alice, chargePoints, vars(object{"idempotencyKey": key(), "amount": 1, "token": text}))
			}
		},
		"ProductImport.formerSkus": func(text string) func(a *api) result {
			return func(a *api) result {
				return a.do(admin, productsImport, vars(object{"products": []object{{"sku": key(), "name": "A", "price": price, "formerSkus": []string{text}}}}))
			}
		},
		"ProductImport.handle":          sent(productsImport, imported("handle")),
		"StartExperimentInput.plan":     experimentOf("plan"),
		"StartExperimentInput.workload": experimentOf("workload"),
	}

	seen := map[string]bool{}
	for _, d := range schemaTexts() {
		if _, known := written[d]; known {
			seen[d] = true
		} else if _, known := names[d]; known {
			seen[d] = true
		} else {
			t.Errorf("%s is a text of an input: say how many characters it may have, and test it here", d)
		}
	}
	for d := range maps.Keys(written) {
		if !seen[d] {
			t.Errorf("%s is no text of the schema", d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		of := written[name]
		_, field, _ := strings.Cut(name, ".")
		named := regexp.MustCompile(`"` + field + `"(,"0")?\]`) // the first one of a list
		for _, script := range textScripts {
			r := a.do(admin, of.mutation, vars(of.input(a, textOf(script, of.most))))
			if len(r.Errors) > 0 || strings.Contains(r.body, `"code":"`) {
				t.Errorf("%s of %d characters as %.6q: %.300s", name, of.most, script, r.body)
			}
			r = a.do(admin, of.mutation, vars(of.input(a, textOf(script, of.most+1))))
			if len(r.Errors) > 0 || !strings.Contains(r.body, `"code":"INVALID_INPUT"`) || !named.MatchString(r.body) {
				t.Errorf("%s of %d characters as %.6q: %.300s", name, of.most+1, script, r.body)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, script := range textScripts {
			for _, characters := range []int{1, 64, 255, 256, 3000} {
				r := names[name](textOf(script, characters))(a)
				if strings.Contains(r.body, "INTERNAL_SERVER_ERROR") || r.status >= 500 {
					t.Errorf("%s of %d characters as %.6q: status %d, %.300s", name, characters, script, r.status, r.body)
				}
			}
		}
	}
}

// experimentOf asks for an experiment that does not exist.
func experimentOf(field string) func(text string) func(a *api) result {
	return func(text string) func(a *api) result {
		return func(a *api) result {
			return a.do(admin, `mutation($input: StartExperimentInput!) { startExperiment(input: $input) { experiment { id } userErrors { code message field } } }`,
				vars(object{field: "-" + text}))
		}
	}
}

// schemaTexts are the texts that clients may send: fields of inputs as Input.field, arguments by their name.
func schemaTexts() (list []string) {
	isText := func(of *ast.Type) bool { return of.Name() == "String" }
	for _, d := range schema.Types {
		if strings.HasPrefix(d.Name, "__") {
			continue
		}
		for _, f := range d.Fields {
			if d.Kind == ast.InputObject && isText(f.Type) {
				list = append(list, d.Name+"."+f.Name)
			}
			for _, argument := range f.Arguments {
				if isText(argument.Type) && !strings.HasPrefix(f.Name, "__") {
					list = append(list, argument.Name)
				}
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
