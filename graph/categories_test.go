package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestProductByHandle asks for what a product has, by its handle and by its identifier.
func TestProductByHandle(t *testing.T) {
	a := newAPI(t, settings{})
	id := a.ok(admin, productCreate, vars(object{
		"sku": "H-1", "name": "Linen Shirt", "price": object{"amountMinor": "100", "currency": "USD"}, "stock": "1",
		"vendor": "Acme", "productType": "Tops", "tags": []string{"Red", "RED", "new"}, "categoryIds": []string{"cat_6", "cat_2"},
		"images": []object{{"url": "https://cdn.example.com/1.jpg", "altText": "A shirt", "width": 8, "height": 6}, {"url": "https://cdn.example.com/2.jpg"}},
	})).text("productCreate.product.id")
	const fields = ` { id handle vendor productType tags images { url altText width height } featuredImage { url } categories { name ancestors { name } parent { handle } } } `
	query := `query($id: ID, $handle: String) { product(id: $id, handle: $handle)` + fields + `}`
	for _, by := range []object{{"id": id}, {"handle": "linen-shirt"}} {
		a.ok(nobody, query, by).want("product.id", id, "product.handle", "linen-shirt", "product.vendor", "Acme", "product.productType", "Tops",
			"product.tags", "[Red new]", "product.images.0.altText", "A shirt", "product.images.0.width", 8, "product.images.1.altText", nil,
			"product.images.1.height", nil, "product.featuredImage.url", "https://cdn.example.com/1.jpg", "product.categories.0.name", "Lighting",
			"product.categories.0.parent.handle", "home", "product.categories.1.ancestors.0.name", "Computers")
	}
	for _, nothing := range []string{"", "linen", "Linen-Shirt", "linen-shirt ", "prod-0", "'"} {
		a.ok(nobody, query, object{"handle": nothing}).want("product", nil)
	}
	for _, ambiguous := range []object{{}, {"id": id, "handle": "linen-shirt"}} {
		if message := a.do(nobody, query, ambiguous).wantError("BAD_USER_INPUT"); message != "give either id or handle" {
			t.Errorf("%v: %s", ambiguous, message)
		}
	}
	bare := a.ok(admin, productCreate, vars(object{"sku": "H-2", "name": "Bare", "price": object{"amountMinor": "1", "currency": "USD"}, "stock": "1"})).
		text("productCreate.product.id")
	a.ok(nobody, query, object{"id": bare}).want("product.handle", "bare", "product.vendor", nil, "product.productType", nil, "product.tags", "[]",
		"product.images", "[]", "product.featuredImage", nil, "product.categories", "[]")
	r := a.ok(nobody, `{ products(filter: {vendor: "ACME", tag: "NEW", categoryId: "cat_5"}) { totalCount { count } nodes { handle } } }`, nil)
	r.want("products.nodes.0.handle", "linen-shirt", "products.totalCount.count", 1)
	// What is wrong is named by its field.
	for field, in := range map[string]object{
		"[input images 0 url]":  {"images": []object{{"url": "http://cdn.example.com/1.jpg"}}},
		"[input tags 1]":        {"tags": []string{"a", "b,c"}},
		"[input handle]":        {"handle": "linen-shirt"},
		"[input categoryIds 0]": {"categoryIds": []string{"cat_0"}},
	} {
		in["id"], in["version"] = bare, 1
		r := a.do(admin, productUpdate, vars(in))
		if got := fmt.Sprint(r.at("productUpdate.userErrors.0.field")); got != field || r.at("productUpdate.product") != nil {
			t.Errorf("%v: %s", in, r.body)
		}
	}
}

// TestCategoryMutations moves a category: null moves it to the top, and what is not given stays.
func TestCategoryMutations(t *testing.T) {
	a := newAPI(t, settings{})
	created := a.ok(admin, categoryCreate, vars(object{"name": " Cables ", "parentId": "cat_1"}))
	created.want("categoryCreate.category.name", "Cables", "categoryCreate.category.handle", "cables", "categoryCreate.category.position", 2,
		"categoryCreate.category.parent.id", "cat_1")
	id := created.text("categoryCreate.category.id")
	a.ok(admin, categoryUpdate, vars(object{"id": id, "version": 1, "name": "Wires"})).want("categoryUpdate.category.parent.id", "cat_1",
		"categoryUpdate.category.name", "Wires", "categoryUpdate.category.handle", "cables")
	a.ok(admin, categoryUpdate, vars(object{"id": id, "version": 2, "parentId": nil})).want("categoryUpdate.category.parent", nil)
	a.do(admin, categoryUpdate, vars(object{"id": id, "version": 1, "name": "Late"})).want("categoryUpdate.category", nil,
		"categoryUpdate.userErrors.0.__typename", "VersionConflictError", "categoryUpdate.userErrors.0.currentVersion", 3)
	a.do(admin, categoryDelete, vars(object{"id": "cat_1"})).want("categoryDelete.deletedCategoryId", nil, "categoryDelete.userErrors.0.code", "INVALID_STATE")
	a.ok(admin, categoryDelete, vars(object{"id": id})).want("categoryDelete.deletedCategoryId", id)
	a.do(admin, categoryDelete, vars(object{"id": id})).want("categoryDelete.userErrors.0.code", "NOT_FOUND")
	list := a.ok(nobody, `{ categories(topLevel: true) { totalCount { count } nodes { name children { nodes { name } } } } }`, nil)
	list.want("categories.totalCount.count", 3, "categories.nodes.0.children.nodes.1.name", "Displays")
	if message := a.do(nobody, `{ category { id } }`, nil).wantError("BAD_USER_INPUT"); !strings.Contains(message, "either id or handle") {
		t.Error(message)
	}
}
