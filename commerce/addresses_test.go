package commerce_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent"
	"holdfast/ent/schema"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// elm is an address whose parts stand in no other text of these tests.
func elm() commerce.Address {
	return commerce.Address{
		Name: "Ann Aronson", Phone: "+49 30 1234567", Lines: []string{"7 Elm", "2nd floor"}, City: "Ulm", Region: "BW",
		PostalCode: "89073", Country: "DE",
	}
}

func ann() commerce.Contact {
	return commerce.Contact{Name: "Ann Aronson", Email: "ann@example.com", Phone: "+49 30 1234567"}
}

// An order keeps the address and the contact that it was placed with, under every strategy,
// whatever becomes of those of the customer.
func TestAnOrderKeepsItsAddress(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		kept, err := s.Customers.CreateAddress(ctx, alice, commerce.CreateAddress{Address: elm()})
		must(t, err)
		given, contact := *kept.Address, ann()
		in := commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: s.product(t, 1000, 10), Quantity: 1}}, ShippingAddress: &given, Contact: &contact,
		}
		result, err := s.Orders.Place(ctx, alice, in)
		must(t, err)
		wantDelivery(t, result.Order) // what was answered

		moved := elm()
		moved.City, moved.Name = "Bonn", "Bea"
		_, err = s.Customers.UpdateAddress(ctx, alice, commerce.UpdateAddress{ID: kept.ID, Address: moved})
		must(t, err)
		must(t, s.Customers.DeleteAddress(ctx, alice, commerce.ChooseAddress{ID: kept.ID}))
		for _, v := range []commerce.Viewer{alice, admin} {
			row, err := s.Orders.Get(ctx, v, result.Order.ID) // accepted or in the database
			must(t, err)
			wantDelivery(t, row)
		}
		if row, err := s.Orders.Get(ctx, bob, result.Order.ID); err != nil || row != nil {
			t.Errorf("another customer sees the order: %v, %v", row, err)
		}
		again, err := s.Orders.Place(ctx, alice, in)
		must(t, err)
		wantDelivery(t, again.Order)
		in.ShippingAddress.City = "Bonn"
		_, err = s.Orders.Place(ctx, alice, in)
		wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
		s.audit(t)
	})
}

func wantDelivery(t *testing.T, row *ent.Order) {
	t.Helper()
	if row.ShippingAddress == nil || row.Contact == nil {
		t.Fatal("the order has no address or no contact")
	}
	if got, want := fmt.Sprint(*row.Contact == ann(), row.ShippingAddress.Name, row.ShippingAddress.Lines, row.ShippingAddress.City), fmt.Sprint(true, "Ann Aronson", elm().Lines, "Ulm"); got != want {
		t.Errorf("the order goes to %s, want %s", got, want)
	}
}

// Customers add addresses at the same time: there is no one too many, and one is the default.
func TestAddressesAreBounded(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url, "", func(cfg *config.Config) { cfg.Shop.MaxAddresses = 3 })
		var added, refused atomic.Int32
		together(12, func(i int) {
			_, err := s.Customers.CreateAddress(t.Context(), alice, commerce.CreateAddress{Address: elm(), Default: i%2 == 0})
			switch failures, _ := commerce.UserErrors(err); {
			case err == nil:
				added.Add(1)
			case len(failures) == 1 && failures[0].Code == commerce.InvalidState:
				refused.Add(1)
			default:
				t.Errorf("refused with %v", err)
			}
		})
		if added.Load() != 3 || refused.Load() != 9 {
			t.Errorf("%d added and %d refused, want 3 and 9", added.Load(), refused.Load())
		}
		book := wantBook(t, s, 3)
		together(3, func(i int) {
			_, err := s.Customers.SetDefaultAddress(t.Context(), alice, commerce.ChooseAddress{ID: book[i].ID})
			must(t, err)
		})
		for left := 3; left > 0; left-- {
			for _, row := range wantBook(t, s, left) {
				if row.IsDefault {
					must(t, s.Customers.DeleteAddress(t.Context(), alice, commerce.ChooseAddress{ID: row.ID}))
				}
			}
		}
		wantBook(t, s, 0)
	})
}

// wantBook returns the addresses of alice, of which one is the default.
func wantBook(t *testing.T, s *shop, want int) []*ent.CustomerAddress {
	t.Helper()
	books, err := s.Customers.AddressesOf(t.Context(), alice, []string{alice.UserID, bob.UserID})
	must(t, err)
	book, defaults := books[alice.UserID], 0
	for _, row := range book {
		if row.IsDefault {
			defaults++
		}
	}
	if len(book) != want || defaults != min(want, 1) || len(books[bob.UserID]) != 0 {
		t.Fatalf("%d addresses, %d of them the default, want %d; others: %d", len(book), defaults, want, len(books[bob.UserID]))
	}
	return book
}

// Nobody else changes or reads an address, an administrator reads it, and a key is carried out
// once.
func TestAddressesBelongToTheirCustomer(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	in := commerce.CreateAddress{Key: uuid.New(), Address: elm()}
	row, err := s.Customers.CreateAddress(ctx, alice, in)
	must(t, err)
	again, err := s.Customers.CreateAddress(ctx, alice, in)
	must(t, err)
	if again.ID != row.ID {
		t.Error("a repeat has added another address")
	}
	wantBook(t, s, 1)
	in.Address.City = "Bonn"
	_, err = s.Customers.CreateAddress(ctx, alice, in)
	wantCodes(t, err, "IDEMPOTENCY_MISMATCH")
	for _, v := range []commerce.Viewer{bob, admin} {
		_, err = s.Customers.UpdateAddress(ctx, v, commerce.UpdateAddress{ID: row.ID, Address: elm()})
		wantCodes(t, err, "NOT_FOUND:input.id")
		_, err = s.Customers.SetDefaultAddress(ctx, v, commerce.ChooseAddress{ID: row.ID})
		wantCodes(t, err, "NOT_FOUND:input.id")
		wantCodes(t, s.Customers.DeleteAddress(ctx, v, commerce.ChooseAddress{ID: row.ID}), "NOT_FOUND:input.id")
		books, err := s.Customers.AddressesOf(ctx, v, []string{alice.UserID})
		must(t, err)
		if (len(books[alice.UserID]) == 1) != v.Admin {
			t.Errorf("%s reads %d addresses", v.UserID, len(books[alice.UserID]))
		}
	}
	gone := commerce.ChooseAddress{Key: uuid.New(), ID: row.ID}
	must(t, s.Customers.DeleteAddress(ctx, alice, gone))
	must(t, s.Customers.DeleteAddress(ctx, alice, gone)) // a repeat
	in.Address.City = "Ulm"
	_, err = s.Customers.CreateAddress(ctx, alice, in) // the repeat of what is deleted
	wantCodes(t, err, "NOT_FOUND:input.id")
	in.Key = uuid.New()
	_, err = s.Customers.CreateAddress(ctx, alice, in)
	must(t, err)
	for n := 1; n < s.Shop().MaxAddresses; n++ {
		_, err = s.Customers.CreateAddress(ctx, alice, commerce.CreateAddress{Address: elm()})
		must(t, err)
	}
	_, err = s.db.Ent.Operation.Delete().Exec(ctx) // as the job does
	must(t, err)
	_, err = s.Customers.CreateAddress(ctx, alice, in) // of an address that is there, in a book that is full
	wantCodes(t, err, "IDEMPOTENCY_EXPIRED")

	contact := ann()
	set := commerce.UpdateCustomer{Key: uuid.New(), Contact: commerce.NewContact{Given: true, Contact: &contact}}
	customer, err := s.Customers.Update(ctx, alice, set)
	must(t, err)
	if customer.Contact == nil || *customer.Contact != ann() {
		t.Error("the contact is not set")
	}
	customer, err = s.Customers.Update(ctx, alice, commerce.UpdateCustomer{})
	must(t, err)
	if customer.Contact == nil {
		t.Error("what was not given has changed")
	}
	customer, err = s.Customers.Update(ctx, alice, commerce.UpdateCustomer{Contact: commerce.NewContact{Given: true}})
	must(t, err)
	if customer.Contact != nil {
		t.Error("the contact is not taken away")
	}
}

// Bad parts are refused by name, and never repeated. What is as long as allowed is kept as it is,
// in every script, on every database.
func TestAddressesAtTheirLimits(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	product := s.product(t, 1000, 100)
	place := func(t *testing.T, change func(a *commerce.Address, c *commerce.Contact)) error {
		t.Helper()
		address, contact := elm(), ann()
		change(&address, &contact)
		_, err := s.Orders.Place(t.Context(), alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{{ProductID: product, Quantity: 1}}, ShippingAddress: &address, Contact: &contact,
		})
		return err
	}
	for name, test := range map[string]struct {
		change func(a *commerce.Address, c *commerce.Contact)
		want   string
	}{
		"no name":     {func(a *commerce.Address, _ *commerce.Contact) { a.Name = " " }, "shippingAddress.name"},
		"long name":   {func(a *commerce.Address, _ *commerce.Contact) { a.Name = strings.Repeat("é", schema.MaxName+1) }, "shippingAddress.name"},
		"no lines":    {func(a *commerce.Address, _ *commerce.Contact) { a.Lines = nil }, "shippingAddress.lines"},
		"many lines":  {func(a *commerce.Address, _ *commerce.Contact) { a.Lines = []string{"a", "b", "c", "d"} }, "shippingAddress.lines"},
		"empty line":  {func(a *commerce.Address, _ *commerce.Contact) { a.Lines[1] = "\t" }, "shippingAddress.lines.1"},
		"line break":  {func(a *commerce.Address, _ *commerce.Contact) { a.Lines[0] = "7 Elm\n8 Oak" }, "shippingAddress.lines.0"},
		"no city":     {func(a *commerce.Address, _ *commerce.Contact) { a.City = "" }, "shippingAddress.city"},
		"long region": {func(a *commerce.Address, _ *commerce.Contact) { a.Region = strings.Repeat("x", schema.MaxRegion+1) }, "shippingAddress.region"},
		"long postal": {func(a *commerce.Address, _ *commerce.Contact) {
			a.PostalCode = strings.Repeat("1", schema.MaxPostalCode+1)
		}, "shippingAddress.postalCode"},
		"no country":    {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "" }, "shippingAddress.countryCode"},
		"small letters": {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "de" }, "shippingAddress.countryCode"},
		"three letters": {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "DEU" }, "shippingAddress.countryCode"},
		"nowhere":       {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "ZZ" }, "shippingAddress.countryCode"},
		"Europe":        {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "EU" }, "shippingAddress.countryCode"},
		"Yugoslavia":    {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "YU" }, "shippingAddress.countryCode"},
		"Antilles":      {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "AN" }, "shippingAddress.countryCode"},
		"USSR":          {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "SU" }, "shippingAddress.countryCode"},
		"two countries": {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "DE FR" }, "shippingAddress.countryCode"},
		"a number":      {func(a *commerce.Address, _ *commerce.Contact) { a.Country = "12" }, "shippingAddress.countryCode"},
		"phone":         {func(a *commerce.Address, _ *commerce.Contact) { a.Phone = "call me" }, "shippingAddress.phone"},
		"email":         {func(_ *commerce.Address, c *commerce.Contact) { c.Email = "ann" }, "contact.email"},
		"two emails":    {func(_ *commerce.Address, c *commerce.Contact) { c.Email = "Ann <ann@example.com>" }, "contact.email"},
		"long email":    {func(_ *commerce.Address, c *commerce.Contact) { c.Email = strings.Repeat("a", 250) + "@b.cd" }, "contact.email"},
		"no way":        {func(_ *commerce.Address, c *commerce.Contact) { c.Email, c.Phone = "", "" }, "contact"},
	} {
		t.Run(name, func(t *testing.T) { wantCodes(t, place(t, test.change), "INVALID_INPUT:input."+test.want) })
	}
	for _, country := range []string{"DE", "JP", "US", "GB", "KW", "KR", "XK", "AQ"} {
		must(t, place(t, func(a *commerce.Address, _ *commerce.Contact) { a.Country = country }))
	}
	s.wantStock(t, product, 92)

	for database, url := range map[string]func(testing.TB) string{"postgres": testenv.Postgres, "mariadb": testenv.MariaDB} {
		t.Run(database, func(t *testing.T) {
			s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url(t), "")
			for script, alphabet := range alphabets {
				want := commerce.Address{
					Name: ofLength(alphabet, schema.MaxName), Lines: []string{ofLength(alphabet, schema.MaxAddressLine)},
					City: ofLength(alphabet, schema.MaxCity), Region: ofLength(alphabet, schema.MaxRegion), Country: "DE",
				}
				row, err := s.Customers.CreateAddress(t.Context(), alice, commerce.CreateAddress{Address: want})
				must(t, err)
				books, err := s.Customers.AddressesOf(t.Context(), alice, []string{alice.UserID})
				must(t, err)
				for _, stored := range books[alice.UserID] {
					if a := stored.Address; stored.ID == row.ID && (a.Name != want.Name || a.Lines[0] != want.Lines[0] || a.City != want.City || a.Region != want.Region) {
						t.Errorf("%s: the stored address differs", script)
					}
				}
			}
		})
	}
}

// Whatever is formatted or logged with an address in it shows nothing of the address.
func TestAddressesAreNotLogged(t *testing.T) {
	address, contact := elm(), ann()
	rows := []any{
		address, &address, contact, &contact,
		&ent.Order{ShippingAddress: &address, Contact: &contact}, &ent.CustomerAddress{Address: &address}, &ent.User{Contact: &contact},
		commerce.PlaceOrder{ShippingAddress: &address, Contact: &contact},
		commerce.CreateAddress{Address: address},
		errors.New(fmt.Sprint(commerce.UpdateAddress{Address: address})),
	}
	var log bytes.Buffer
	commands := []any{
		commerce.PlaceOrder{ShippingAddress: &address, Contact: &contact},
		&commerce.PlaceOrder{ShippingAddress: &address, Contact: &contact},
		commerce.CheckoutCart{CartID: "cart_Elm", ShippingAddress: &address, Contact: &contact},
		commerce.CreateAddress{Address: address},
		commerce.UpdateAddress{Address: address},
		commerce.UpdateCustomer{Contact: commerce.NewContact{Given: true, Contact: &contact}},
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		logger := slog.New(handler)
		for _, row := range rows[:4] {
			logger.Info("a line", "row", row)
		}
		for _, row := range slices.Concat(commands, rows[4:7]) {
			logger.Info("a line", "row", row)
			logger.Info("a line", slog.Group("in", "row", row))
		}
		for _, row := range rows[4:7] {
			logger.Info("a line", "row", fmt.Sprint(row))
		}
	}
	for _, row := range rows {
		fmt.Fprintf(&log, "%v %+v %#v\n", row, row, row)
	}
	for _, part := range []string{"Aronson", "Elm", "Ulm", "89073", "1234567", "ann@"} {
		if strings.Contains(log.String(), part) {
			t.Errorf("a log has %q: %s", part, log.String())
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
}
