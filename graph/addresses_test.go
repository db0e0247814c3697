package graph_test

import (
	"strings"
	"testing"
)

const (
	address = ` name phone lines city region postalCode countryCode `
	contact = ` name email phone `

	addressed                    = ` address { id isDefault address {` + address + `} } customer { id defaultAddress { id } addresses { id isDefault address { city } } } `
	customerUpdate               = `mutation($input: CustomerUpdateInput!) { customerUpdate(input: $input) { customer { id contact {` + contact + `} }` + failures + `} }`
	customerAddressCreate        = `mutation($input: CustomerAddressCreateInput!) { customerAddressCreate(input: $input) {` + addressed + failures + `} }`
	customerAddressUpdate        = `mutation($input: CustomerAddressUpdateInput!) { customerAddressUpdate(input: $input) {` + addressed + failures + `} }`
	customerAddressDelete        = `mutation($input: CustomerAddressDeleteInput!) { customerAddressDelete(input: $input) {` + addressed + failures + `} }`
	customerDefaultAddressUpdate = `mutation($input: CustomerDefaultAddressUpdateInput!) { customerDefaultAddressUpdate(input: $input) {` + addressed + failures + `} }`
)

var emptyAddress = object{"name": "", "lines": []string{}, "city": "", "countryCode": ""}

func inCity(city string) object {
	return object{"name": "Carol", "lines": []string{"7 Elm"}, "city": city, "postalCode": "89073", "countryCode": "DE", "phone": "+49 30 1234567"}
}

// TestAddressBook goes through the address book of a customer: it, and the orders' copies, are for the customer and for administrators.
func TestAddressBook(t *testing.T) {
	a := newAPI(t, settings{})
	const book = `{ me { contact {` + contact + `} defaultAddress { id } addresses { id } } }`
	a.ok(carol, book, nil).want("me.contact", nil, "me.defaultAddress", nil, "me.addresses", []any{})
	input := object{"idempotencyKey": key(), "address": inCity(" Ulm ")}
	first := a.ok(carol, customerAddressCreate, vars(input)).want("customerAddressCreate.address.isDefault", true,
		"customerAddressCreate.address.address.city", "Ulm", "customerAddressCreate.address.address.region", nil)
	ulm := first.text("customerAddressCreate.address.id")
	a.ok(carol, customerAddressCreate, vars(input)).want("customerAddressCreate.address.id", ulm, "customerAddressCreate.customer.addresses.1", nil)
	bonn := a.ok(carol, customerAddressCreate, vars(object{"address": inCity("Bonn")})).
		want("customerAddressCreate.address.isDefault", false, "customerAddressCreate.customer.addresses.1.address.city", "Bonn",
			"customerAddressCreate.customer.defaultAddress.id", ulm).text("customerAddressCreate.address.id")
	a.ok(carol, customerDefaultAddressUpdate, vars(object{"id": bonn})).want("customerDefaultAddressUpdate.customer.defaultAddress.id", bonn)
	a.do(bob, customerAddressUpdate, vars(object{"id": bonn, "address": inCity("Kiel")})).want(
		"customerAddressUpdate.userErrors.0.code", "NOT_FOUND", "customerAddressUpdate.userErrors.0.field", []any{"input", "id"})
	a.ok(carol, customerUpdate, vars(object{"contact": object{"email": "carol@example.com"}})).
		want("customerUpdate.customer.contact.email", "carol@example.com", "customerUpdate.customer.contact.phone", nil)
	a.do(carol, customerUpdate, vars(object{"contact": object{"email": "carol"}})).
		want("customerUpdate.userErrors.0.field", []any{"input", "contact", "email"})
	a.do(carol, customerAddressCreate, vars(object{"address": inCity(strings.Repeat("x", 101))})).
		want("customerAddressCreate.userErrors.0.field", []any{"input", "address", "city"}, "customerAddressCreate.address", nil)

	placed := a.ok(carol, placeOrder, vars(object{
		"idempotencyKey": key(), "lines": line("prod_1", 1), "shippingAddress": inCity("Bonn"), "contact": object{"phone": "+49 30 1234567"},
	})).text("placeOrder.order.id")
	a.ok(carol, customerAddressUpdate, vars(object{"id": bonn, "address": inCity("Kiel")})).want("customerAddressUpdate.address.address.city", "Kiel")
	a.ok(carol, customerAddressDelete, vars(object{"id": bonn})).want("customerAddressDelete.address", nil, "customerAddressDelete.customer.defaultAddress.id", ulm)
	const order = `query($id: ID!) { order(id: $id) { shippingAddress {` + address + `} contact {` + contact + `} customer { addresses { id } contact { email } } } }`
	for _, user := range []string{carol, admin} {
		a.ok(user, order, object{"id": placed}).want("order.shippingAddress.city", "Bonn", "order.contact.phone", "+49 30 1234567",
			"order.customer.addresses.0.id", ulm, "order.customer.contact.email", "carol@example.com")
	}
	a.ok(bob, order, object{"id": placed}).want("order", nil)
	a.ok(admin, `{ customers { nodes { id contact { email } defaultAddress { id } } } }`, nil)
	for _, part := range []string{"Elm", "Bonn", "carol@", "1234567"} {
		if strings.Contains(a.log.String(), part) {
			t.Errorf("the log has %q: %s", part, a.log)
		}
	}
}
