package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/commerce"
	"holdfast/ent/product"
	"holdfast/ent/schema"
)

// An import brings vendor, type, tags, pictures and category in line with the file, as it does with texts and prices; a second one finds
// nothing to do, and what the file does not say stays.
func TestImportOfAttributes(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		outcomes := func(what string, rows []commerce.ImportRow, want string) {
			t.Helper()
			planned, err := s.Catalog.PlanImport(ctx, admin, rows, commerce.StockDifference)
			must(t, err)
			done, err := s.Catalog.Import(ctx, admin, rows, commerce.StockDifference)
			must(t, err)
			var told, got []string
			for i := range rows {
				must(t, done[i].Err)
				told, got = append(told, string(planned[i].Outcome)), append(got, string(done[i].Outcome))
			}
			if strings.Join(got, " ") != want || strings.Join(told, " ") != want {
				t.Errorf("%s: %v, told %v, want %s", what, got, told, want)
			}
			s.wantIndexed(t)
		}
		picture := func(n int, text string) commerce.Image {
			return commerce.Image{URL: fmt.Sprintf("https://cdn.example.com/%d.jpg", n), AltText: text}
		}
		row := func(sku, handle string) commerce.ImportRow {
			return commerce.ImportRow{SKU: sku, Name: "Shirt", Price: new(price(500)), Stock: new(int64(3)), ImportAttributes: commerce.ImportAttributes{
				Handle: handle, Vendor: new("Acme"), ProductType: new("Tops"), Tags: []string{"Red", "red", "new"},
				Images: []commerce.Image{picture(1, "One"), picture(2, "")}, Category: []string{"Apparel", "Tops"},
			}}
		}
		rows := []commerce.ImportRow{row("A", "shirt-a"), row("B", "shirt-b"), row("C", "shirt-a")}
		outcomes("the first import", rows, "created created created")
		outcomes("the second import", rows, "unchanged unchanged unchanged")
		slicesSame(t, s.outline(t), "Apparel .Tops")
		found, err := s.db.Ent.Product.Query().Order(product.BySku()).All(ctx)
		must(t, err)
		a := found[0]
		if *a.Handle != "shirt-a" && *a.Handle != "shirt-a-1" || *found[1].Handle != "shirt-b" || *found[2].Handle == *a.Handle {
			t.Errorf("handles: %s, %s, %s", *a.Handle, *found[1].Handle, *found[2].Handle)
		}
		if a.Vendor != "Acme" || a.ProductType != "Tops" || !slices.Equal(a.Tags, []string{"Red", "new"}) || len(s.imagesOf(t, a.ID)) != 2 ||
			!slices.Equal(s.categoriesOf(t, a.ID), []string{"Tops"}) {
			t.Errorf("%v", a)
		}
		if got := s.found(t, commerce.ProductQuery{ProductFilter: commerce.ProductFilter{Vendor: "ACME", Tag: "new"}}, 2); len(got) != 3 {
			t.Errorf("found %v", got)
		}
		// An administrator knows more than the file: the size of a picture, and another category.
		sale := s.category(t, "Sale", "")
		tree, err := s.Catalog.Categories(ctx)
		must(t, err)
		sized := picture(1, "One")
		sized.Width, sized.Height = new(800), new(600)
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: a.ID, Version: 1, Attributes: commerce.Attributes{
			Images: []commerce.Image{sized, picture(2, "")}, CategoryIDs: []string{sale, tree.ByHandle("tops").ID}, Handle: new("mine"),
		}})
		must(t, err)
		outcomes("an import after that", rows, "unchanged unchanged unchanged")
		rows[0].Images = []commerce.Image{picture(2, "Two"), picture(1, "One")}
		rows[0].Tags, rows[0].Vendor = []string{}, new("")
		rows[1].Category = []string{"apparel", "Shirts"}
		rows[2].ImportAttributes = commerce.ImportAttributes{}
		outcomes("a changed file", rows, "updated updated unchanged")
		outcomes("the same again", rows, "unchanged unchanged unchanged")
		a, err = s.Catalog.Product(ctx, a.ID)
		must(t, err)
		images, err := s.Catalog.ImagesOf(ctx, []string{a.ID})
		must(t, err)
		if a.Vendor != "" || len(a.Tags) != 0 || *a.Handle != "mine" || images[a.ID][0].AltText != "Two" || *images[a.ID][1].Width != 800 ||
			!slices.Equal(s.categoriesOf(t, a.ID), []string{"Sale", "Tops"}) {
			t.Errorf("%v with %v in %v", a, images, s.categoriesOf(t, a.ID))
		}
		if got := s.categoriesOf(t, found[1].ID); !slices.Equal(got, []string{"Tops", "Shirts"}) {
			t.Errorf("the second product is in %v", got)
		}
		if got := s.categoriesOf(t, found[2].ID); !slices.Equal(got, []string{"Tops"}) {
			t.Errorf("the third product is in %v", got)
		}
	})
}

// What cannot be of a row is told of the row, with its field; the others come in.
func TestImportOfWrongAttributes(t *testing.T) {
	s := openShop(t, everyRowLock, "sqlite://:memory:", "")
	wrong := []commerce.ImportAttributes{
		{Images: []commerce.Image{{URL: "http://a.example/1"}}},
		{Tags: []string{"a,b"}},
		{Vendor: new(strings.Repeat("a", 256))},
		{Category: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}},
		{Category: []string{strings.Repeat("a", 201)}},
		{},
	}
	want := []string{
		"input products 0 images 0 url", "input products 1 tags 0", "input products 2 vendor", "input products 3 category", "input products 4 category 0", "",
	}
	var rows []commerce.ImportRow
	for i, a := range wrong {
		rows = append(rows, commerce.ImportRow{SKU: fmt.Sprint("W-", i), Name: "Wrong", Price: new(price(1)), ImportAttributes: a})
	}
	results, err := s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
	must(t, err)
	for i, result := range results {
		if want[i] == "" {
			must(t, result.Err)
			continue
		}
		wantRefusal(t, result.Err, commerce.InvalidInput, want[i])
	}
	slicesSame(t, s.outline(t), "")
	// With as many pictures as there may be, of as many products as come in at once.
	rows = nil
	for i := range commerce.MaxImport {
		row := commerce.ImportRow{SKU: fmt.Sprint("M-", i), Name: "Many", Price: new(price(1))}
		for n := range schema.MaxImages {
			row.Images = append(row.Images, commerce.Image{URL: fmt.Sprintf("https://a.example/%d", n)})
		}
		rows = append(rows, row)
	}
	results, err = s.Catalog.Import(t.Context(), admin, rows, commerce.StockDifference)
	must(t, err)
	for _, result := range results {
		must(t, result.Err)
	}
	if n, err := s.db.Ent.ProductImage.Query().Count(t.Context()); err != nil || n != commerce.MaxImport*schema.MaxImages {
		t.Errorf("%d images: %v", n, err)
	}
}
