package commerce

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/coupon"
)

// Demo users: who the Playground's prepared operations act as.
var (
	DemoAlice = Viewer{UserID: "alice", Name: "Alice"}
	DemoBob   = Viewer{UserID: "bob", Name: "Bob"}
	DemoAdmin = Viewer{UserID: "admin", Name: "Admin", Admin: true}
)

// IDs of demo objects that an operation creates, so that prepared operations can name them.
var (
	DemoOrderID = idOf(prefixOrder, operationID(DemoAlice, "placeOrder", demoKey))
	// DemoOtherOrderID is the order of [DemoBob].
	DemoOtherOrderID = idOf(prefixOrder, operationID(DemoBob, "placeOrder", demoKey))

	// DemoAddressID is in the address book of [DemoAlice].
	DemoAddressID = idOf(prefixAddress, operationID(DemoAlice, "customerAddressCreate", demoKey))

	// DemoCartID is the cart of [DemoAlice]. Nobody else has it, though everybody knows its secret.
	DemoCartID = prefixCart + "demo0000000000000000000000000000"

	DemoIssueID = idOf(prefixIssue, operationID(DemoAlice, "issueCoupon", demoKey))
)

var demoKey = uuid.MustParse("00000000-0000-4000-8000-000000000001")

// SeedDemo fills an empty shop with something to try: products in categories, coupons, accounts, points, an unpaid order and an issued
// coupon. It does nothing to what is there already.
func SeedDemo(ctx context.Context, s *Services) error {
	if err := s.seed(ctx); err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	return nil
}

func (s *Services) seed(ctx context.Context) error {
	currency := s.Catalog.Shop.Currency
	if err := s.seedCategories(ctx); err != nil {
		return err
	}
	for i, p := range []CreateProduct{
		{SKU: "KB-75", Name: "Mechanical keyboard", Price: Money{Minor: 8900}, Stock: 250, Attributes: demoAttributes("Tactile Works", "2", "office", "wired")},
		{SKU: "MS-01", Name: "Silent mouse", Price: Money{Minor: 2400}, Stock: 400, Attributes: demoAttributes("Tactile Works", "2", "office", "wireless")},
		{SKU: "HP-X2", Name: "Headphones", Price: Money{Minor: 12900}, Stock: 100, Attributes: demoAttributes("Hertz Audio", "4", "wireless")},
		{SKU: "MON-27", Name: "27 inch monitor", Price: Money{Minor: 29900}, Stock: 60, Attributes: demoAttributes("Northlight", "3", "office")},
		{SKU: "CAM-4K", Name: "Webcam 4K", Price: Money{Minor: 7900}, Stock: 150, Attributes: demoAttributes("Northlight", "4", "office", "wired")},
		{SKU: "USB-HUB", Name: "USB-C hub", Price: Money{Minor: 4500}, Stock: 300, Attributes: demoAttributes("Tactile Works", "1", "wired")},
		{SKU: "LMP-DESK", Name: "Desk lamp", Price: Money{Minor: 3900}, Stock: 10, Attributes: demoAttributes("Northlight", "6", "office")},
		{SKU: "FLASH-1", Name: "Flash sale console", Price: Money{Minor: 19900}, Stock: 1, Attributes: demoAttributes("Hertz Audio", "1")},
		{Name: "T-shirt", Options: []string{"Size", "Colour"}, Variants: demoShirts(currency)},
	} {
		p.id = fmt.Sprintf("%s%d", prefixProduct, i+1)
		if p.Variants == nil {
			p.Price.Currency = currency
		}
		p.Description = "Demo product: " + p.Name + "."
		if row, err := s.Catalog.Product(ctx, p.id); err != nil || row != nil {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := s.Catalog.Create(ctx, DemoAdmin, p); err != nil {
			return err
		}
	}
	for _, c := range []CreateCoupon{
		{id: prefixCoupon + "welcome", Name: "5.00 off your order", DiscountKind: coupon.DiscountKindFIXED, DiscountValue: 500, Quota: 1000, PerUserLimit: 100},
		{id: prefixCoupon + "half", Name: "Half price, ten only", DiscountKind: coupon.DiscountKindPERCENT, DiscountValue: 50, Quota: 10, PerUserLimit: 1},
	} {
		if row, err := s.Coupons.Get(ctx, c.id); err != nil || row != nil {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := s.Coupons.Create(ctx, DemoAdmin, c); err != nil {
			return err
		}
	}
	for _, v := range []Viewer{DemoBob, DemoAlice} {
		if err := s.seedCustomer(ctx, v, currency); err != nil {
			return err
		}
	}
	return nil
}

// demoAttributes is what a demo product has: who makes it, its category and its tags.
func demoAttributes(vendor, category string, tags ...string) Attributes {
	return Attributes{Vendor: &vendor, CategoryIDs: []string{prefixCategory + category}, Tags: tags}
}

// seedCategories adds the categories of the demo products.
func (s *Services) seedCategories(ctx context.Context) error {
	tree, err := s.Catalog.Categories(ctx)
	if err != nil {
		return err
	}
	for i, c := range []struct{ name, parent string }{
		{"Computers", ""}, {"Input devices", "1"}, {"Displays", "1"}, {"Audio and video", ""}, {"Home", ""}, {"Lighting", "5"},
	} {
		in := CreateCategory{id: fmt.Sprintf("%s%d", prefixCategory, i+1), Name: c.name}
		if tree.Category(in.id) != nil {
			continue
		}
		if c.parent != "" {
			parent := prefixCategory + c.parent
			in.ParentID = &parent
		}
		if _, err := s.Catalog.CreateCategory(ctx, DemoAdmin, in); err != nil {
			return err
		}
	}
	return nil
}

// demoShirts are the variants of a product with two options. One of them is sold out.
func demoShirts(currency string) (variants []CreateVariant) {
	for i, size := range []string{"S", "M", "L"} {
		for j, colour := range []string{"Black", "White"} {
			variants = append(variants, CreateVariant{
				SKU: "TS-" + size + "-" + colour, Options: []string{size, colour}, Price: Money{Minor: 1900 + 100*int64(i), Currency: currency},
				Stock: 40 * int64(i+j), id: fmt.Sprintf("%s9%c", prefixVariant, 'a'+2*i+j),
			})
		}
	}
	return variants
}

// seedCustomer ends with the account, which tells the next start that all is there: what is remembered of the changes
// themselves is forgotten after a while.
func (s *Services) seedCustomer(ctx context.Context, v Viewer, currency string) error {
	id := prefixAccount + v.UserID
	if row, err := s.Accounts.Get(ctx, v, id); err != nil || row != nil {
		return err
	}
	if _, err := s.Points.give(ctx, v, demoKey, 1_000_000); err != nil {
		return err
	}
	if _, err := s.Coupons.Issue(ctx, v, IssueCoupon{Key: demoKey, CouponID: prefixCoupon + "welcome"}); err != nil {
		return err
	}
	if _, err := s.Customers.CreateAddress(ctx, v, CreateAddress{
		Key: demoKey, Address: Address{Name: v.Name, Lines: []string{"1 Example Street"}, City: "Springfield", Country: "US"},
	}); err != nil {
		return err
	}
	if v.UserID == DemoAlice.UserID {
		_, err := s.Carts.create(ctx, v, DemoCartID, []Line{{ProductID: prefixProduct + "1", Quantity: 1}})
		if err != nil && !ent.IsConstraintError(err) { // there since a start that was cut off
			return err
		}
	}
	if _, err := s.Orders.Place(ctx, v, PlaceOrder{
		Key: demoKey, Lines: []Line{{ProductID: prefixProduct + "2", Quantity: 1}}, reservation: demoReservation,
	}); err != nil {
		return err
	}
	_, err := s.Accounts.Open(ctx, DemoAdmin, OpenAccount{
		id: id, UserID: v.UserID, Name: v.Name + "'s account", Currency: currency, Opening: 1_000_000_00,
	})
	return err
}

// demoReservation keeps the demo orders for whoever tries the Playground later.
const demoReservation = 365 * 24 * time.Hour
