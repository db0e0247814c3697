package commerce_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/product"
	"holdfast/ent/schema"
)

func price(minor int64) commerce.Money { return commerce.Money{Minor: minor, Currency: "USD"} }

// create creates a product with attributes.
func (s *shop) create(t testing.TB, sku, name string, a commerce.Attributes) *ent.Product {
	t.Helper()
	row, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{SKU: sku, Name: name, Price: price(100), Attributes: a})
	must(t, err)
	return row
}

// imagesOf are the URLs of the images of a product.
func (s *shop) imagesOf(t testing.TB, id string) (urls []string) {
	t.Helper()
	images, err := s.Catalog.ImagesOf(t.Context(), []string{id})
	must(t, err)
	for i, image := range images[id] {
		if image.Position != i {
			t.Errorf("image %d has the position %d", i, image.Position)
		}
		urls = append(urls, image.URL)
	}
	return urls
}

func (s *shop) categoriesOf(t testing.TB, id string) (names []string) {
	t.Helper()
	categories, err := s.Catalog.CategoriesOf(t.Context(), []string{id})
	must(t, err)
	for _, category := range categories[id] {
		names = append(names, category.Name)
	}
	return names
}

// What a product has besides its name, price and stock is kept as it was given, changed as it was given, and stays if nothing is given.
func TestAttributes(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		mugs, cups := s.category(t, "Mugs", ""), s.category(t, "Cups", "")
		row := s.create(t, "M-1", "Mug", commerce.Attributes{
			Vendor: new(" Acme "), ProductType: new("Kitchen"), Tags: []string{"Red", " blue", "RED", "größe", "GRÖSSE"}, CategoryIDs: []string{cups, mugs, cups},
			Images: []commerce.Image{
				{URL: "https://cdn.example.com/a.jpg?v=1", AltText: " A mug ", Width: new(800), Height: new(600)}, {URL: "https://cdn.example.com/b.jpg"},
			},
		})
		row, err := s.Catalog.Product(ctx, row.ID)
		must(t, err)
		if row.Vendor != "Acme" || row.ProductType != "Kitchen" || !slices.Equal(row.Tags, []string{"Red", "blue", "größe"}) {
			t.Errorf("%v", row)
		}
		if got := s.imagesOf(t, row.ID); !slices.Equal(got, []string{"https://cdn.example.com/a.jpg?v=1", "https://cdn.example.com/b.jpg"}) {
			t.Errorf("images: %v", got)
		}
		featured, err := s.Catalog.FeaturedImages(ctx, []string{row.ID, "prod_0"})
		must(t, err)
		if image := featured[row.ID]; len(featured) != 1 || image.AltText != "A mug" || *image.Width != 800 || *image.Height != 600 {
			t.Errorf("featured: %v", featured)
		}
		if got := s.categoriesOf(t, row.ID); !slices.Equal(got, []string{"Cups", "Mugs"}) {
			t.Errorf("categories: %v", got)
		}
		// What is not given stays.
		row, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: row.ID, Version: 1, Name: new("Big mug")})
		must(t, err)
		if row.Vendor != "Acme" || len(row.Tags) != 3 || len(s.imagesOf(t, row.ID)) != 2 || len(s.categoriesOf(t, row.ID)) != 2 || *row.Handle != "mug" {
			t.Errorf("%v", row)
		}
		row, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: row.ID, Version: 2, Attributes: commerce.Attributes{
			Vendor: new(""), ProductType: new(" "), Tags: []string{}, Images: []commerce.Image{{URL: "https://b.example/b"}}, CategoryIDs: []string{}, Handle: new("big"),
		}})
		must(t, err)
		if row.Vendor != "" || row.ProductType != "" || len(row.Tags) != 0 || len(s.imagesOf(t, row.ID)) != 1 || s.categoriesOf(t, row.ID) != nil || *row.Handle != "big" {
			t.Errorf("%v", row)
		}
		// A change from a version that is not the current one changes nothing.
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: row.ID, Version: 2, Attributes: commerce.Attributes{Images: []commerce.Image{}}})
		wantRefusal(t, err, commerce.VersionConflict, "input version")
		if len(s.imagesOf(t, row.ID)) != 1 {
			t.Error("a refused change took the images away")
		}
		s.wantIndexed(t)
	})
}

// wantRefusal asserts that an error is one refusal with a code and a field.
func wantRefusal(t testing.TB, err error, code commerce.Code, field string) string {
	t.Helper()
	refusals, ok := commerce.UserErrors(err)
	if !ok || len(refusals) != 1 || refusals[0].Code != code || strings.Join(refusals[0].Field, " ") != field {
		t.Errorf("%v, want %s of %q", err, code, field)
		return ""
	}
	return refusals[0].Message
}

// TestBoundsOfAttributes: what is too much or cannot be is refused by the name of its field, and says what to do.
func TestBoundsOfAttributes(t *testing.T) {
	s := openShop(t, everyRowLock, "sqlite://:memory:", "")
	many := func(n int) (tags []string) {
		for i := range n {
			tags = append(tags, fmt.Sprint("tag", i))
		}
		return tags
	}
	image := func(url string) commerce.Attributes {
		return commerce.Attributes{Images: []commerce.Image{{URL: "https://a.example/1"}, {URL: url}}}
	}
	const url = "input images 1 url"
	for name, test := range map[string]struct {
		in    commerce.Attributes
		field string
		says  string
	}{
		"a handle with capitals":   {commerce.Attributes{Handle: new("Big Mug")}, "input handle", `such as "big-mug"`},
		"a handle of hyphens":      {commerce.Attributes{Handle: new("--")}, "input handle", "lower-case letters"},
		"no handle":                {commerce.Attributes{Handle: new(" ")}, "input handle", "1 to 255"},
		"a long handle":            {commerce.Attributes{Handle: new(strings.Repeat("a", 256))}, "input handle", "not 256"},
		"a long vendor":            {commerce.Attributes{Vendor: new(strings.Repeat("ü", 256))}, "input vendor", "at most 255"},
		"a long type":              {commerce.Attributes{ProductType: new(strings.Repeat("ü", 256))}, "input productType", "at most 255"},
		"a long tag":               {commerce.Attributes{Tags: []string{"a", strings.Repeat("ü", 256)}}, "input tags 1", "a tag must have 1 to 255"},
		"an empty tag":             {commerce.Attributes{Tags: []string{" "}}, "input tags 0", "a tag must have 1 to 255"},
		"a tag with a comma":       {commerce.Attributes{Tags: []string{"a,b"}}, "input tags 0", "no commas"},
		"too many tags":            {commerce.Attributes{Tags: many(schema.MaxTags + 1)}, "input tags", "at most 50 tags, not 51"},
		"too many images":          {commerce.Attributes{Images: make([]commerce.Image, schema.MaxImages+1)}, "input images", "at most 50 images, not 51"},
		"too many categories":      {commerce.Attributes{CategoryIDs: many(11)}, "input categoryIds", "at most 10 categories, not 11"},
		"an image over http":       {image("http://a.example/1"), url, "https://"},
		"an image of data":         {image("data:image/png;base64,AAAA"), url, "https://"},
		"a script":                 {image("javascript:alert(1)"), url, "https://"},
		"a relative image":         {image("/1.jpg"), url, "https://"},
		"an image of a user":       {image("https://u:p@a.example/1"), url, "without a user"},
		"an image with a blank":    {image("https://a.example/1 2.jpg"), url, "blanks"},
		"an image without a host":  {image("https:///1.jpg"), url, "https://"},
		"an image that is too far": {image("https://a.example/" + strings.Repeat("1", 2048)), url, "at most 2048"},
		"a flat image": {
			commerce.Attributes{Images: []commerce.Image{{URL: "https://a.example/1", Width: new(0)}}}, "input images 0 width", "1 to 100000",
		},
		"a long text": {
			commerce.Attributes{Images: []commerce.Image{{URL: "https://a.example/1", AltText: strings.Repeat("ü", 513)}}}, "input images 0 altText", "at most 512",
		},
	} {
		_, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{SKU: "A", Name: "A", Price: price(1), Attributes: test.in})
		if message := wantRefusal(t, err, commerce.InvalidInput, test.field); !strings.Contains(message, test.says) {
			t.Errorf("%s: %q, want %q", name, message, test.says)
		}
	}
	_, err := s.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: "A", Name: "A", Price: price(1), Attributes: commerce.Attributes{CategoryIDs: []string{"cat_0"}},
	})
	wantRefusal(t, err, commerce.NotFound, "input categoryIds 0")
	row := s.create(t, "A", "A", commerce.Attributes{Tags: append(many(50), "TAG0")}) // the last one is the first one
	if len(row.Tags) != 50 {
		t.Errorf("%d tags", len(row.Tags))
	}
}

// Handles are made of names, with a number if somebody has them; so they are if many products of one name are created at the same time.
func TestHandles(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		for i, test := range []struct{ name, want string }{
			{"Linen Shirt – Größe M", "linen-shirt-grosse-m"},
			{"Linen shirt, Grosse m!", "linen-shirt-grosse-m-1"},
			{"Kid's “Crème Brûlée” 2×", "kids-creme-brulee-2"},
			{"青いマグ", "product"},
			{"🦀", "product-1"},
			{"Prod 7", "product-prod-7"},
			{strings.Repeat("long ", 120), strings.TrimSuffix(strings.Repeat("long-", 49), "-")},
		} {
			row := s.create(t, fmt.Sprint("N-", i), test.name, commerce.Attributes{})
			got := *row.Handle
			if long := len(test.want) > 200; long && len(got) <= schema.MaxHandle {
				got, test.want = got[:200], test.want[:200]
			}
			if got != test.want {
				t.Errorf("%q has the handle %q, want %q", test.name, got, test.want)
			}
		}
		var creating sync.WaitGroup
		for i := range 30 {
			creating.Go(func() {
				for { // a transaction may wait too long for another one on a slow machine
					_, err := s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: fmt.Sprint("S-", i), Name: "Same", Price: price(1)})
					if refusals, ok := commerce.UserErrors(err); ok && refusals[0].Code == commerce.LockTimeout {
						continue
					}
					if err != nil {
						t.Errorf("product %d: %v", i, err)
					}
					return
				}
			})
		}
		creating.Wait()
		handles, err := s.db.Ent.Product.Query().Where(product.HandleHasPrefix("same")).Select(product.FieldHandle).Strings(ctx)
		must(t, err)
		slices.Sort(handles)
		if len(slices.Compact(handles)) != 30 || handles[0] != "same" {
			t.Errorf("%d handles: %q", len(handles), handles)
		}
		// One that was given belongs to one product.
		taken := s.create(t, "G-1", "Given", commerce.Attributes{Handle: new("given")})
		_, err = s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: "G-2", Name: "A", Price: price(1), Attributes: commerce.Attributes{Handle: new("given")}})
		wantRefusal(t, err, commerce.InvalidInput, "input handle")
		other := s.create(t, "G-2", "Given", commerce.Attributes{})
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: other.ID, Version: 1, Attributes: commerce.Attributes{Handle: new("given")}})
		wantRefusal(t, err, commerce.InvalidInput, "input handle")
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: taken.ID, Version: 1, Attributes: commerce.Attributes{Handle: new("given")}})
		must(t, err)
		_, err = s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: "G-2", Name: "A", Price: price(1), Attributes: commerce.Attributes{Handle: new("free")}})
		wantRefusal(t, err, commerce.InvalidInput, "input sku")
		// A repeat under a key is no collision with itself.
		in := commerce.CreateProduct{Key: uuid.New(), SKU: "K-1", Name: "Keyed", Price: price(1), Attributes: commerce.Attributes{Handle: new("keyed")}}
		first, err := s.Catalog.Create(ctx, admin, in)
		must(t, err)
		again, err := s.Catalog.Create(ctx, admin, in)
		must(t, err)
		if first.ID != again.ID {
			t.Errorf("%s, and then %s", first.ID, again.ID)
		}
	})
}

// A product from before there were handles is found by one that is made of its ID, which no other product gets.
func TestHandlesOfOldProducts(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		old := s.create(t, "OLD", "Old", commerce.Attributes{})
		must(t, s.db.Ent.Product.UpdateOne(old).ClearHandle().Exec(ctx))
		old, err := s.Catalog.Product(ctx, old.ID)
		must(t, err)
		handle := commerce.HandleOf(old)
		if want := strings.Replace(old.ID, "_", "-", 1); handle != want {
			t.Errorf("the handle is %q, want %q", handle, want)
		}
		shown := func(v commerce.Viewer, handle string) string {
			row, err := s.Catalog.ShowByHandle(ctx, v, handle)
			must(t, err)
			if row == nil {
				return ""
			}
			return row.ID
		}
		if got := shown(alice, handle); got != old.ID {
			t.Errorf("%q finds %q", handle, got)
		}
		_, err = s.Catalog.Create(ctx, admin, commerce.CreateProduct{SKU: "N", Name: "N", Price: price(1), Attributes: commerce.Attributes{Handle: &handle}})
		wantRefusal(t, err, commerce.InvalidInput, "input handle")
		row := s.create(t, "N", "N", commerce.Attributes{})
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: row.ID, Version: 1, Attributes: commerce.Attributes{Handle: &handle}})
		wantRefusal(t, err, commerce.InvalidInput, "input handle")
		_, err = s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: old.ID, Version: old.Version, Attributes: commerce.Attributes{Handle: new("new")}})
		must(t, err)
		if got := shown(alice, "new"); got != old.ID || shown(alice, handle) != "" {
			t.Errorf("the new handle finds %q, the old one %q", got, shown(alice, handle))
		}
		// What is off sale is for administrators.
		_, err = s.Catalog.Archive(ctx, admin, commerce.ArchiveProduct{ID: old.ID})
		must(t, err)
		if shown(alice, "new") != "" || shown(admin, "new") != old.ID || shown(admin, "new ") != "" || shown(admin, "") != "" {
			t.Error("an archived product is shown to a customer, or not to an administrator, or by another handle")
		}
	})
}

// Filters by vendor, type and tag find what has them, in any case and nothing that only begins alike; together with words and prices.
func TestFiltersByAttributes(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		s.create(t, "A", "Lamp", commerce.Attributes{Vendor: new("Acme Corp"), ProductType: new("Light"), Tags: []string{"red", "new"}})
		s.create(t, "B", "Lamp", commerce.Attributes{Vendor: new("ACME CORP"), Tags: []string{"Red hot"}})
		s.create(t, "C", "Desk", commerce.Attributes{Vendor: new("Acme"), ProductType: new("light"), Tags: []string{"RED"}})
		s.create(t, "D", "Plain", commerce.Attributes{})
		find := func(f commerce.ProductFilter, words string) string {
			return strings.Join(s.found(t, commerce.ProductQuery{ProductFilter: f, Search: words, Order: commerce.OldestFirst}, 2), "")
		}
		for _, test := range []struct {
			filter commerce.ProductFilter
			words  string
			want   string
		}{
			{commerce.ProductFilter{Vendor: "acme corp"}, "", "AB"},
			{commerce.ProductFilter{Vendor: " Acme "}, "", "C"},
			{commerce.ProductFilter{Vendor: "acm"}, "", ""},
			{commerce.ProductFilter{Vendor: " "}, "", "ABCD"},
			{commerce.ProductFilter{Tag: "Red"}, "", "AC"},
			{commerce.ProductFilter{Tag: "red hot"}, "", "B"},
			{commerce.ProductFilter{ProductType: "LIGHT", Tag: "red"}, "", "AC"},
			{commerce.ProductFilter{ProductType: "LIGHT", Vendor: "Acme"}, "lamp", ""},
			{commerce.ProductFilter{Tag: "red", MinPrice: new(int64(101))}, "", ""},
			{commerce.ProductFilter{}, "acme", "ABC"}, // they are words, too
			{commerce.ProductFilter{}, "hot light", ""},
			{commerce.ProductFilter{}, "light red", "AC"},
		} {
			slicesEqual(t, fmt.Sprintf("%+v %q", test.filter, test.words), find(test.filter, test.words), test.want)
		}
		_, err := s.Catalog.Products(t.Context(), commerce.ProductQuery{
			ProductFilter: commerce.ProductFilter{Vendor: strings.Repeat("a", 256)}, Page: commerce.Page{First: 1},
		})
		wantRefusal(t, err, commerce.InvalidInput, "filter vendor")
	})
}

func slicesEqual(t testing.TB, what, got, want string) {
	t.Helper()
	byLetter := func(s string) string {
		letters := strings.Split(s, "")
		slices.Sort(letters)
		return strings.Join(letters, "")
	}
	if byLetter(got) != byLetter(want) {
		t.Errorf("%s finds %q, want %q", what, got, want)
	}
}
