package commerce_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/payment"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

func usd(minor int64) commerce.Money { return commerce.Money{Minor: minor, Currency: "USD"} }

// shirt is a product with a variant of each size, which cost 1000, 1100 and so on, and its variants in their order.
func (s *shop) shirt(t testing.TB, stock int64, sizes ...string) (string, []*ent.ProductVariant) {
	t.Helper()
	in := commerce.CreateProduct{Name: "Shirt", Options: []string{"Size"}}
	for i, size := range sizes {
		in.Variants = append(in.Variants, commerce.CreateVariant{
			SKU: uuid.NewString(), Options: []string{size}, Price: usd(1000 + 100*int64(i)), Stock: stock,
		})
	}
	row, err := s.Catalog.Create(t.Context(), admin, in)
	must(t, err)
	return row.ID, s.variantsOf(t, row.ID)
}

func (s *shop) variantsOf(t testing.TB, product string) []*ent.ProductVariant {
	t.Helper()
	byProduct, err := s.Catalog.VariantsOf(t.Context(), []string{product})
	must(t, err)
	return byProduct[product]
}

// left is the stock of variants, in their order.
func (s *shop) left(t testing.TB, variants []*ent.ProductVariant) (left []int64) {
	t.Helper()
	for _, v := range variants {
		stock, err := s.Catalog.VariantStock(t.Context(), []string{v.ID})
		must(t, err)
		left = append(left, stock[v.ID].Amount)
	}
	return left
}

func of(v *ent.ProductVariant, quantity int64) commerce.Line {
	return commerce.Line{VariantID: v.ID, Quantity: quantity}
}

// What is read on the way to an order by a statement of its own is what ent reads: a column that is added and forgotten there would be missing in
// answers.
func TestVariantsAreReadWhole(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		made, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{
			Name: "Shirt", Description: "Of linen.", Options: []string{"Size"},
			Variants: []commerce.CreateVariant{
				{SKU: "S", Options: []string{"S"}, Price: usd(1000), Limit: &commerce.PurchaseLimit{Quantity: 2, Hours: 24}},
				{SKU: "M", Options: []string{"M"}, Price: usd(1100)},
			},
			Attributes: commerce.Attributes{Handle: new("linen-shirt"), Vendor: new("Weaver"), ProductType: new("Shirts"), Tags: []string{"linen", "summer"}},
		})
		must(t, err)
		_, err = s.Catalog.ArchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: s.variantsOf(t, made.ID)[1].ID})
		must(t, err)
		_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: made.ID})
		must(t, err)
		for _, want := range s.variantsOf(t, made.ID) {
			got, err := s.Catalog.Variant(ctx, want.ID)
			must(t, err)
			want.Combination, want.ImportedStock, want.Imports = "", nil, 0
			if got, want := written(t, got), written(t, want); got != want {
				t.Errorf("the variant is read as\n%s, want\n%s", got, want)
			}
		}
	})
}

// written is a variant with its product as text, with its times in UTC.
func written(t testing.TB, v *ent.ProductVariant) string {
	t.Helper()
	p := v.Edges.Product
	for _, at := range []*time.Time{&v.CreatedAt, &v.UpdatedAt, v.ArchivedAt, &p.CreatedAt, &p.UpdatedAt, p.ArchivedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	text, err := json.MarshalIndent(v, "", " ")
	must(t, err)
	return string(text)
}

// Whatever is done to one variant, the stock of its siblings stays, under every strategy.
func TestAVariantHasItsOwnStock(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		product, v := s.shirt(t, 10, "S", "M", "L")
		want := func(what string, amounts ...int64) {
			t.Helper()
			s.settle(t)
			if got := s.left(t, v); !slices.Equal(got, amounts) {
				t.Errorf("%s: %d are left, want %d", what, got, amounts)
			}
			total, err := s.Catalog.Stock(ctx, []string{product})
			must(t, err)
			if sum := amounts[0] + amounts[1] + amounts[2]; total[product].Amount != sum {
				t.Errorf("%s: the product has %d, want %d", what, total[product].Amount, sum)
			}
		}
		s.points(t, alice, 100_000)
		placed, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{
			Key: uuid.New(), Lines: []commerce.Line{of(v[1], 3), of(v[2], 1)}, Payment: &commerce.Payment{Method: payment.MethodPOINTS},
		})
		must(t, err)
		want("an order of two variants", 10, 7, 9)
		if placed.Order.TotalMinor != 3*1100+1200 {
			t.Errorf("the order costs %d", placed.Order.TotalMinor)
		}
		lines := placed.Order.Edges.Lines
		if len(lines) != 2 || lines[0].VariantID != v[1].ID || lines[0].ProductID != product || lines[0].VariantTitle != "M" {
			t.Errorf("the order has the lines %v", lines)
		}
		held, err := s.Holds.Create(ctx, bob, commerce.CreateHold{Key: uuid.New(), Lines: []commerce.Line{of(v[0], 4)}, TTL: time.Minute})
		must(t, err)
		want("a hold", 6, 7, 9)
		_, err = s.Holds.Release(ctx, bob, held.Hold.ID)
		must(t, err)
		want("its release", 10, 7, 9)
		_, err = s.Refunds.Create(ctx, admin, commerce.CreateRefund{
			Key: uuid.New(), OrderID: placed.Order.ID, Lines: []commerce.Line{of(v[1], 1)}, Restock: true, Reason: "test",
		})
		must(t, err)
		want("a refund of one unit", 10, 8, 9)
		_, err = s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), VariantID: v[2].ID, Delta: 5})
		must(t, err)
		want("an adjustment", 10, 8, 14)
		other, err := s.Orders.Place(ctx, bob, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{of(v[0], 2), of(v[0], 1)}})
		must(t, err)
		want("an order of one variant in two lines", 7, 8, 14)
		_, err = s.Orders.Cancel(ctx, bob, commerce.CancelOrder{Key: uuid.New(), OrderID: other.Order.ID})
		must(t, err)
		want("its end", 10, 8, 14)
		_, err = s.Orders.Place(ctx, bob, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{of(v[0], 1), of(v[1], 9)}})
		refused := wantCodes(t, err, "OUT_OF_STOCK")
		details, _ := refused[0].Details.(commerce.OutOfStockDetails)
		if details != (commerce.OutOfStockDetails{ProductID: product, VariantID: v[1].ID, Requested: 9, Available: 8}) || refused[0].Field[2] != "1" {
			t.Errorf("refused with %+v in %v", details, refused[0].Field)
		}
		want("an order that is short of one variant", 10, 8, 14)
	})
}

// A hot variant is sold to the last unit, and its sibling loses none, whoever orders either of them at the same time.
func TestAHotVariantBesideItsSibling(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		_, v := s.shirt(t, 10, "S", "M")
		var wg sync.WaitGroup
		sold := make([]int, 2)
		var mu sync.Mutex
		for i := range 24 {
			hot := i % 2 // each as often
			if i >= 16 {
				hot = 0
			}
			wg.Go(func() {
				viewer := commerce.Viewer{UserID: fmt.Sprint("customer", i)}
				_, err := s.Orders.Place(context.WithoutCancel(t.Context()), viewer, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{of(v[hot], 1)}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					sold[hot]++
				} else if e := new(commerce.Error); !errors.As(err, &e) && !isErrors(err) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s.settle(t)
		left := s.left(t, v)
		if sold[0] != 10 || sold[1] != 8 || left[0] != 0 || left[1] != 2 {
			t.Errorf("sold %d and left %d, want 10 and 8, and 0 and 2", sold, left)
		}
	})
}

func isErrors(err error) bool {
	_, ok := commerce.UserErrors(err)
	return ok
}

// A product stands for its only variant. If it has several, or a line names both or none, the error says which field, and what to do.
func TestWhichVariantALineMeans(t *testing.T) {
	s := newShop(t, lockprovider.RowLock)
	ctx := t.Context()
	shirt, v := s.shirt(t, 10, "S", "M")
	lamp := s.product(t, 1000, 10)
	for name, c := range map[string]struct {
		line           commerce.Line
		field, message string
	}{
		"several variants": {commerce.Line{ProductID: shirt}, "productId", "has 2 variants: name one of them by variantId"},
		"both":             {commerce.Line{ProductID: shirt, VariantID: v[0].ID}, "productId", "leave productId out"},
		"neither":          {commerce.Line{}, "variantId", "needs a variantId"},
		"unknown":          {commerce.Line{VariantID: "var_none"}, "variantId", "does not exist"},
		"padded":           {commerce.Line{VariantID: v[0].ID + " "}, "variantId", "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []commerce.Line{{ProductID: lamp, Quantity: 1}, c.line}
			lines[1].Quantity = 1
			_, ordered := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines})
			_, held := s.Holds.Create(ctx, alice, commerce.CreateHold{Key: uuid.New(), Lines: lines, TTL: time.Minute})
			_, carted := s.Carts.Create(ctx, alice, lines)
			for _, err := range []error{ordered, held, carted} {
				errs, ok := commerce.UserErrors(err)
				if !ok || len(errs) != 1 || strings.Join(errs[0].Field, ".") != "input.lines.1."+c.field || !strings.Contains(errs[0].Message, c.message) {
					t.Errorf("%v, want input.lines.1.%s: %s", err, c.field, c.message)
				}
			}
		})
	}
	if left := s.left(t, v); left[0] != 10 || left[1] != 10 {
		t.Errorf("%d are left", left)
	}
	_, err := s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), ProductID: shirt, Delta: 1})
	if errs := wantCodes(t, err, "INVALID_INPUT"); errs[0].Field[1] != "productId" {
		t.Errorf("%v", err)
	}
	_, err = s.Catalog.ArchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: v[0].ID})
	must(t, err)
	placed, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: []commerce.Line{{ProductID: shirt, Quantity: 1}}})
	must(t, err)
	if got := placed.Order.Edges.Lines[0].VariantID; got != v[1].ID {
		t.Errorf("the product stands for %s, want its only variant on sale %s", got, v[1].ID)
	}
}

// The limit of one customer counts each variant on its own.
func TestTheLimitIsThatOfTheVariant(t *testing.T) {
	everyStrategy(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		_, v := s.shirt(t, 10, "S", "M")
		_, err := s.Catalog.UpdateVariant(ctx, admin, commerce.UpdateVariant{ID: v[0].ID, Version: 1, Limit: &commerce.PurchaseLimit{Quantity: 2}})
		must(t, err)
		place := func(lines ...commerce.Line) error {
			_, err := s.Orders.Place(ctx, alice, commerce.PlaceOrder{Key: uuid.New(), Lines: lines})
			return err
		}
		must(t, place(of(v[0], 2), of(v[1], 5)))
		errs := wantCodes(t, place(of(v[1], 1), of(v[0], 1)), "PURCHASE_LIMIT")
		if details, _ := errs[0].Details.(commerce.PurchaseLimitDetails); details.VariantID != v[0].ID {
			t.Errorf("%+v", details)
		}
		must(t, place(of(v[1], 1)))
		s.settle(t)
		s.compareCounts(t, 0)
	})
}

// Of variants that are created at the same time with the same options, one is made; and a product has MaxVariants at most.
func TestOptionsAreUniqueInAProduct(t *testing.T) {
	for database, url := range map[string]func(testing.TB) string{
		"sqlite": func(testing.TB) string { return "sqlite://:memory:" }, "postgres": testenv.Postgres, "mariadb": testenv.MariaDB,
	} {
		t.Run(database, func(t *testing.T) {
			s := openShop(t, lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}, url(t), "")
			ctx := t.Context()
			product, _ := s.shirt(t, 1, "S")
			add := func(sizes ...string) error {
				in := commerce.AddVariants{Key: uuid.New(), ProductID: product}
				for _, size := range sizes {
					in.Variants = append(in.Variants, commerce.CreateVariant{SKU: uuid.NewString(), Options: []string{size}, Price: usd(500), Stock: 1})
				}
				_, err := s.Catalog.AddVariants(ctx, admin, in)
				return err
			}
			var wg sync.WaitGroup
			results := make([]error, 8)
			for i := range results {
				wg.Go(func() { results[i] = add([]string{"XL", "xl", " XL "}[i%3]) })
			}
			wg.Wait()
			made := 0
			for _, err := range results {
				if err == nil {
					made++
					continue
				}
				if errs := wantCodes(t, err, "INVALID_INPUT"); strings.Join(errs[0].Field, ".") != "input.variants.0.options" {
					t.Errorf("%v", err)
				}
			}
			if made != 1 || len(s.variantsOf(t, product)) != 2 {
				t.Errorf("%d of 8 were made, and there are %d variants", made, len(s.variantsOf(t, product)))
			}
			var many []string
			for i := range commerce.MaxVariants - 2 {
				many = append(many, fmt.Sprint("size ", i))
			}
			must(t, add(many...))
			wantCodes(t, add("one more"), "INVALID_INPUT")
			row, err := s.Catalog.Product(ctx, product)
			must(t, err)
			if row.VariantCount != commerce.MaxVariants || row.PriceMinor != 500 || row.MaxPriceMinor != 1000 {
				t.Errorf("the product has %d variants from %d to %d", row.VariantCount, row.PriceMinor, row.MaxPriceMinor)
			}
		})
	}
}

// What a product says of its variants, and what lists and searches find it by, follows every change of them.
func TestAProductSaysWhatItsVariantsAre(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		product, v := s.shirt(t, 0, "Small", "Medium", "Large") // 1000, 1100, 1200
		price := func(low, high int64) commerce.ProductFilter {
			return commerce.ProductFilter{MinPrice: &low, MaxPrice: &high}
		}
		available := true
		want := func(what string, low, high int64, count int) {
			t.Helper()
			row, err := s.Catalog.Product(ctx, product)
			must(t, err)
			if row.PriceMinor != low || row.MaxPriceMinor != high || row.VariantCount != count {
				t.Errorf("%s: %d variants from %d to %d, want %d from %d to %d", what, row.VariantCount, row.PriceMinor, row.MaxPriceMinor, count, low, high)
			}
		}
		finds := func(what, search string, filter commerce.ProductFilter, expected bool) {
			t.Helper()
			page, err := s.Catalog.Products(ctx, commerce.ProductQuery{Search: search, ProductFilter: filter, Page: commerce.Page{First: 10}})
			must(t, err)
			if found := len(page.Items) == 1 && page.Items[0].ID == product; found != expected {
				t.Errorf("%s: found %v, want %v", what, found, expected)
			}
		}
		want("at first", 1000, 1200, 3)
		for _, search := range []string{"", "shirt"} {
			finds("a price between", search, price(1050, 1100), true)
			finds("no variant in the range", search, price(1101, 1199), false)
			finds("all sold out", search, commerce.ProductFilter{Available: &available}, false)
		}
		finds("an option", "medium", commerce.ProductFilter{}, true)
		_, err := s.Catalog.AdjustStock(ctx, admin, commerce.AdjustStock{Key: uuid.New(), VariantID: v[1].ID, Delta: 1})
		must(t, err)
		for _, search := range []string{"", "shirt"} {
			finds("one is left", search, commerce.ProductFilter{Available: &available}, true)
		}
		_, err = s.Catalog.ArchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: v[1].ID})
		must(t, err)
		want("without Medium", 1000, 1200, 2)
		finds("an option that is off sale", "medium", commerce.ProductFilter{}, false)
		for _, search := range []string{"", "shirt"} {
			finds("what is left is off sale", search, commerce.ProductFilter{Available: &available}, false)
			finds("a price that is off sale", search, price(1050, 1100), false)
		}
		high := int64(5000)
		_, err = s.Catalog.UpdateVariant(ctx, admin, commerce.UpdateVariant{ID: v[2].ID, Version: 1, PriceMinor: &high})
		must(t, err)
		want("a new price", 1000, 5000, 2)
		_, err = s.Catalog.UpdateVariant(ctx, admin, commerce.UpdateVariant{ID: v[2].ID, Version: 1, PriceMinor: &high})
		wantCodes(t, err, "VERSION_CONFLICT")
		_, err = s.Catalog.ArchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: v[0].ID})
		must(t, err)
		want("with Large only", 5000, 5000, 1)
		_, err = s.Catalog.ArchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: v[2].ID})
		wantCodes(t, err, "INVALID_STATE")
		row, err := s.Catalog.Product(ctx, product)
		must(t, err)
		low := int64(700)
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: product, Version: row.Version, PriceMinor: &low})
		must(t, err)
		want("the price of the only one", 700, 700, 1)
		for range 2 { // a repeat changes nothing
			_, err = s.Catalog.UnarchiveVariant(ctx, admin, commerce.ArchiveProduct{ID: v[1].ID})
			must(t, err)
		}
		want("with Medium again", 700, 1100, 2)
		row, err = s.Catalog.Product(ctx, product)
		must(t, err)
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: product, Version: row.Version, PriceMinor: &low})
		if errs := wantCodes(t, err, "INVALID_INPUT"); !strings.Contains(errs[0].Message, "productVariantUpdate") {
			t.Errorf("%v", err)
		}
		red := "Red"
		row, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{
			ID: product, Version: row.Version, Options: []commerce.UpdateOption{{Name: "Fit"}, {Name: "Colour", Value: &red}},
		})
		must(t, err)
		if after := s.variantsOf(t, product); !slices.Equal(row.Options, []string{"Fit", "Colour"}) || commerce.TitleOf(after[1]) != "Medium / Red" {
			t.Errorf("options %v, title %q", row.Options, commerce.TitleOf(after[1]))
		}
		finds("a new option", "red", commerce.ProductFilter{}, true)
	})
}
