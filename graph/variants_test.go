package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// shirt is a product with two options, and five variants.
func (a *api) shirt() (product string, variants []string) {
	a.t.Helper()
	input := object{"name": "Shirt", "options": []string{"Size", "Colour"}, "variants": []object{}}
	for i, options := range [][]string{{"S", "Red"}, {"S", "Blue"}, {"M", "Red"}, {"M", "Blue"}} {
		input["variants"] = append(input["variants"].([]object), object{
			"sku": fmt.Sprint("SHIRT-", i), "options": options, "price": object{"amountMinor": 1000 + 100*i, "currency": "USD"}, "stock": 5,
		})
	}
	r := a.ok(admin, productCreate, vars(input))
	product = r.text("productCreate.product.id")
	r = a.ok(admin, variantsCreate, vars(object{"productId": product, "variants": []object{
		{"sku": "SHIRT-4", "options": []string{"L", "Red"}, "price": object{"amountMinor": 900, "currency": "USD"}},
	}}))
	r.want("productVariantsCreate.product.variants.totalCount.count", 5, "productVariantsCreate.product.variants.nodes.4.title", "L / Red")
	for i := range 5 {
		variants = append(variants, r.text(fmt.Sprintf("productVariantsCreate.product.variants.nodes.%d.id", i)))
	}
	return product, variants
}

// TestVariants: a product with several variants, as a storefront sees it and as clients see it that know of one variant only.
func TestVariants(t *testing.T) {
	a := newAPI(t, settings{})
	product, v := a.shirt()
	r := a.ok(nobody, `query($id: ID!) { product(id: $id) { sku price { amountMinor } priceRange { min { amountMinor } max { amountMinor } }
		stock { available } limitPerCustomer { quantity } options { name values }
		variants(first: 2) { nodes { sku title selectedOptions { name value } price { amount } stock { available } availableForSale position product { id } } pageInfo { hasNextPage } } } }`,
		object{"id": product})
	r.want("product.sku", "SHIRT-0", "product.price.amountMinor", 900, "product.priceRange.min.amountMinor", 900, "product.priceRange.max.amountMinor", 1300,
		"product.stock.available", 20, "product.limitPerCustomer", nil, "product.options.0.name", "Size", "product.options.0.values", []any{"S", "M", "L"},
		"product.options.1.values", []any{"Red", "Blue"}, "product.variants.nodes.1.title", "S / Blue", "product.variants.nodes.1.selectedOptions.1.value", "Blue",
		"product.variants.nodes.1.price.amount", "11.00", "product.variants.nodes.1.availableForSale", true, "product.variants.nodes.1.position", 1,
		"product.variants.nodes.1.product.id", product, "product.variants.pageInfo.hasNextPage", true)
	a.ok(nobody, `query($id: ID!) { productVariant(id: $id) { availableForSale stock { available } } }`, object{"id": v[4]}).
		want("productVariant.availableForSale", false, "productVariant.stock.available", 0)

	lines := func(fields object) object {
		fields["quantity"] = 1
		return vars(object{"idempotencyKey": key(), "lines": []object{fields}})
	}
	const place = `mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
		order { lines { variant { id sku } variantTitle product { id } unitPrice { amountMinor } } } products { id }
		userErrors { code message field ... on OutOfStockError { productId variantId } } } }`
	a.ok(alice, place, lines(object{"variantId": v[1]})).want("placeOrder.userErrors", []any{}, "placeOrder.order.lines.0.variant.sku", "SHIRT-1",
		"placeOrder.order.lines.0.variantTitle", "S / Blue", "placeOrder.order.lines.0.product.id", product, "placeOrder.order.lines.0.unitPrice.amountMinor", 1100)
	a.do(alice, place, lines(object{"variantId": v[4]})).want("placeOrder.userErrors.0.code", "OUT_OF_STOCK",
		"placeOrder.userErrors.0.variantId", v[4], "placeOrder.userErrors.0.productId", product)
	for want, fields := range map[string]object{
		"has 5 variants: name one of them by variantId": {"productId": product},
		"leave productId out":                           {"productId": product, "variantId": v[0]},
		"needs a variantId":                             {},
	} {
		if message := a.do(alice, place, lines(fields)).text("placeOrder.userErrors.0.message"); !strings.Contains(message, want) {
			t.Errorf("%v: %s", fields, message)
		}
	}
	a.ok(alice, place, lines(object{"productId": "prod_2"})).want("placeOrder.order.lines.0.variant.id", "var_2", "placeOrder.order.lines.0.variantTitle", "")

	const cart = ` cart { id lines { variant { id title } quantity availableForSale unitPrice { amountMinor } } totalQuantity subtotal { amountMinor } } userErrors { message field } } }`
	r = a.ok(nobody, `mutation($input: CartCreateInput!) { cartCreate(input: $input) {`+cart, vars(object{"lines": []object{{"variantId": v[0], "quantity": 2}, {"variantId": v[2]}}}))
	r.want("cartCreate.cart.lines.0.variant.title", "S / Red", "cartCreate.cart.lines.0.availableForSale", true, "cartCreate.cart.subtotal.amountMinor", 3200)
	id := r.text("cartCreate.cart.id")
	r = a.do(nobody, `mutation($input: CartLinesUpdateInput!) { cartLinesUpdate(input: $input) {`+cart, vars(object{"cartId": id, "lines": []object{{"productId": product, "quantity": 1}}}))
	if message := r.text("cartLinesUpdate.userErrors.0.message"); !strings.Contains(message, "has 2 variants") {
		t.Error(message)
	}
	a.ok(nobody, `mutation($input: CartLinesUpdateInput!) { cartLinesUpdate(input: $input) {`+cart, vars(object{"cartId": id, "lines": []object{{"variantId": v[2], "quantity": 3}}})).
		want("cartLinesUpdate.cart.totalQuantity", 5)
	a.ok(nobody, `mutation($input: CartLinesRemoveInput!) { cartLinesRemove(input: $input) {`+cart, vars(object{"cartId": id, "variantIds": []string{v[0]}})).
		want("cartLinesRemove.cart.totalQuantity", 3)
	a.ok(nobody, `mutation($input: CartLinesRemoveInput!) { cartLinesRemove(input: $input) {`+cart, vars(object{"cartId": id, "productIds": []string{product}})).
		want("cartLinesRemove.cart.lines", []any{})

	a.ok(admin, stockAdjust, vars(object{"idempotencyKey": key(), "variantId": v[4], "delta": 3})).want("stockAdjust.userErrors", []any{})
	a.ok(admin, `{ adjustments(first: 1) { nodes { subjectId variantId } } }`, nil).want("adjustments.nodes.0.subjectId", product, "adjustments.nodes.0.variantId", v[4])
	a.ok(admin, variantUpdate, vars(object{"id": v[4], "version": 1, "priceMinor": 5000})).
		want("productVariantUpdate.variant.price.amountMinor", 5000, "productVariantUpdate.variant.product.priceRange.max.amountMinor", 5000,
			"productVariantUpdate.variant.stock.available", 3)
	a.do(admin, variantUpdate, vars(object{"id": v[4], "version": 1, "priceMinor": 5000})).want("productVariantUpdate.userErrors.0.code", "VERSION_CONFLICT")
	a.ok(admin, variantArchive, vars(object{"id": v[4]})).want("productVariantArchive.userErrors", []any{})
	const all = `query($id: ID!, $all: Boolean) { product(id: $id) { variants(includeArchived: $all) { totalCount { count } } } }`
	a.ok(nobody, all, object{"id": product}).want("product.variants.totalCount.count", 4)
	a.do(bob, all, object{"id": product, "all": true}).wantError("FORBIDDEN")
	a.ok(admin, all, object{"id": product, "all": true}).want("product.variants.totalCount.count", 5)
	a.ok(nobody, `query($id: ID!) { productVariant(id: $id) { id } }`, object{"id": v[4]}).want("productVariant", nil)
	a.ok(admin, variantUnarchive, vars(object{"id": v[4]})).want("productVariantUnarchive.variant.archivedAt", nil)
}
