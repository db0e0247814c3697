package commerce_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/schema"
	"holdfast/lockprovider"
)

var everyRowLock = lockprovider.FamilyConfig{Strategy: lockprovider.RowLock}

// category creates a category beneath another one, and returns its ID.
func (s *shop) category(t testing.TB, name, parent string) string {
	t.Helper()
	in := commerce.CreateCategory{Name: name}
	if parent != "" {
		in.ParentID = &parent
	}
	row, err := s.Catalog.CreateCategory(t.Context(), admin, in)
	must(t, err)
	return row.ID
}

// moved moves a category to a parent, "" for the top.
func (s *shop) moved(t testing.TB, id, parent string) error {
	tree, err := s.Catalog.Categories(t.Context())
	must(t, err)
	to := commerce.NewParent{Given: true}
	if parent != "" {
		to.ID = &parent
	}
	_, err = s.Catalog.UpdateCategory(t.Context(), admin, commerce.UpdateCategory{ID: id, Version: tree.Category(id).Version, Parent: to})
	return err
}

// outline is the tree as text: each category with as many dots as are above it.
func (s *shop) outline(t testing.TB) string {
	t.Helper()
	tree, err := s.Catalog.Categories(t.Context())
	must(t, err)
	list := bothWays(t, "categories", 3, func(c *ent.Category) string {
		return strings.Repeat(".", len(tree.Ancestors(c.ID))) + c.Name
	}, func(page commerce.Page) (commerce.PageOf[*ent.Category], error) {
		return tree.List(commerce.CategoryQuery{Page: page})
	})
	return strings.Join(list, " ")
}

func TestCategories(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		home := s.category(t, "Home", "")
		lamps := s.category(t, "Lamps", home)
		desk := s.category(t, "Desk lamps", lamps)
		s.category(t, "Chairs", home)
		office := s.category(t, "Office", "")
		slicesSame(t, s.outline(t), "Home .Lamps ..Desk lamps .Chairs Office")
		must(t, s.moved(t, lamps, office))
		slicesSame(t, s.outline(t), "Home .Chairs Office .Lamps ..Desk lamps")
		must(t, s.moved(t, lamps, ""))
		slicesSame(t, s.outline(t), "Home .Chairs Office Lamps .Desk lamps")
		_, err := s.Catalog.UpdateCategory(ctx, admin, commerce.UpdateCategory{ID: lamps, Version: 3, Name: new("Light"), Position: new(0)})
		must(t, err)
		// Of the same position, the older one comes first.
		slicesSame(t, s.outline(t), "Home .Chairs Light .Desk lamps Office")

		_, err = s.Catalog.UpdateCategory(ctx, admin, commerce.UpdateCategory{ID: lamps, Version: 3, Name: new("Late")})
		wantRefusal(t, err, commerce.VersionConflict, "input version")
		wantRefusal(t, s.moved(t, lamps, desk), commerce.InvalidInput, "input parentId")
		wantRefusal(t, s.moved(t, lamps, lamps), commerce.InvalidInput, "input parentId")
		wantRefusal(t, s.moved(t, lamps, "cat_0"), commerce.NotFound, "input parentId")
		_, err = s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: "A", ParentID: new("cat_0")})
		wantRefusal(t, err, commerce.NotFound, "input parentId")
		_, err = s.Catalog.UpdateCategory(ctx, admin, commerce.UpdateCategory{ID: "cat_0", Version: 1})
		wantRefusal(t, err, commerce.NotFound, "input id")
		_, err = s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: "A", Handle: new("office")})
		wantRefusal(t, err, commerce.InvalidInput, "input handle")
		_, err = s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: "A", Position: new(-1)})
		wantRefusal(t, err, commerce.InvalidInput, "input position")
		_, err = s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: " "})
		wantRefusal(t, err, commerce.InvalidInput, "input name")
		_, err = s.Catalog.CreateCategory(ctx, alice, commerce.CreateCategory{Name: "A"})
		if err == nil {
			t.Error("a customer creates a category")
		}

		again, err := s.Catalog.CreateCategory(ctx, admin, commerce.CreateCategory{Name: "OFFICE!"})
		must(t, err)
		if again.Handle != "office-1" {
			t.Errorf("the handle is %q", again.Handle)
		}
		wantRefusal(t, s.Catalog.DeleteCategory(ctx, admin, commerce.DeleteCategory{ID: home}), commerce.InvalidState, "input id")
		row := s.create(t, "L", "Lamp", commerce.Attributes{CategoryIDs: []string{desk, office}})
		gone := commerce.DeleteCategory{ID: desk, Key: uuid.New()}
		must(t, s.Catalog.DeleteCategory(ctx, admin, gone))
		must(t, s.Catalog.DeleteCategory(ctx, admin, gone)) // a repeat
		wantRefusal(t, s.Catalog.DeleteCategory(ctx, admin, commerce.DeleteCategory{ID: desk}), commerce.NotFound, "input id")
		if got := s.categoriesOf(t, row.ID); !slices.Equal(got, []string{"Office"}) {
			t.Errorf("the product is in %v", got)
		}
		slicesSame(t, s.outline(t), "Home .Chairs Light Office OFFICE!")
	})
}

func slicesSame(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("the tree is %q, want %q", got, want)
	}
}

// A list of a category has what is in it and in all beneath it, as soon as a product or a category is changed.
func TestProductsOfACategory(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		home := s.category(t, "Home", "")
		lamps := s.category(t, "Lamps", home)
		desk := s.category(t, "Desk lamps", lamps)
		office := s.category(t, "Office", "")
		find := func(category string) string {
			return strings.Join(s.found(t, commerce.ProductQuery{ProductFilter: commerce.ProductFilter{CategoryID: category}}, 2), "")
		}
		want := func(of map[string]string) {
			t.Helper()
			for category, skus := range of {
				slicesEqual(t, category, find(category), skus)
			}
		}
		a := s.create(t, "A", "Lamp", commerce.Attributes{CategoryIDs: []string{desk, office}})
		s.create(t, "B", "Lamp", commerce.Attributes{CategoryIDs: []string{home}})
		s.create(t, "C", "Lamp", commerce.Attributes{})
		want(map[string]string{home: "AB", lamps: "A", desk: "A", office: "A", "cat_0": ""})
		must(t, s.moved(t, lamps, office)) // which writes no product
		want(map[string]string{home: "B", lamps: "A", office: "A"})
		_, err := s.Catalog.Update(ctx, admin, commerce.UpdateProduct{ID: a.ID, Version: 1, Attributes: commerce.Attributes{CategoryIDs: []string{home}}})
		must(t, err)
		want(map[string]string{home: "AB", lamps: "", office: ""})
		both := commerce.ProductQuery{ProductFilter: commerce.ProductFilter{CategoryID: home}, Search: "lamp", Page: commerce.Page{First: 1}}
		page, err := s.Catalog.Products(ctx, both)
		must(t, err)
		if count, err := page.Count(ctx); err != nil || count.Items != 2 {
			t.Errorf("counted %d: %v", count.Items, err)
		}
	})
}

// TestTreeIsBounded: neither depth nor number can be more than they may, however a category gets there.
func TestTreeIsBounded(t *testing.T) {
	s := openShop(t, everyRowLock, "sqlite://:memory:", "")
	var chain []string
	parent := ""
	for i := range schema.MaxCategoryDepth {
		parent = s.category(t, fmt.Sprint("Level ", i+1), parent)
		chain = append(chain, parent)
	}
	_, err := s.Catalog.CreateCategory(t.Context(), admin, commerce.CreateCategory{Name: "Too deep", ParentID: &parent})
	wantRefusal(t, err, commerce.InvalidInput, "input parentId")
	top := s.category(t, "Top", "")
	beneath := s.category(t, "Beneath", top)
	wantRefusal(t, s.moved(t, top, chain[6]), commerce.InvalidInput, "input parentId")
	must(t, s.moved(t, top, chain[5]))
	wantRefusal(t, s.moved(t, chain[0], beneath), commerce.InvalidInput, "input parentId")
	tree, err := s.Catalog.Categories(t.Context())
	must(t, err)
	if n := len(tree.Ancestors(beneath)); n != schema.MaxCategoryDepth-1 {
		t.Errorf("%d above the deepest", n)
	}
	rows := make([]*ent.CategoryCreate, 0, schema.MaxCategories)
	for i := range schema.MaxCategories - len(chain) - 2 {
		rows = append(rows, s.db.Ent.Category.Create().SetID(fmt.Sprint("cat_many", i)).SetName("Many").SetHandle(fmt.Sprint("many-", i)).SetPosition(i))
	}
	for some := range slices.Chunk(rows, 500) {
		must(t, s.db.Ent.Category.CreateBulk(some...).Exec(t.Context()))
	}
	_, err = s.Catalog.CreateCategory(t.Context(), admin, commerce.CreateCategory{Name: "One too many"})
	wantRefusal(t, err, commerce.InvalidState, "")
}

// Categories that are moved at the same time, from several connections, never make a cycle: each is still beneath the top, and none is lost.
func TestMovesMakeNoCycle(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		var ids []string
		for i := range 6 {
			ids = append(ids, s.category(t, fmt.Sprint("C", i), ""))
		}
		var moving sync.WaitGroup
		for worker := range 4 {
			moving.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 1))
				for range 15 {
					err := s.moved(t, ids[random.IntN(len(ids))], ids[random.IntN(len(ids))])
					if _, ok := commerce.UserErrors(err); err != nil && !ok {
						t.Errorf("a move failed: %v", err)
					}
				}
			})
		}
		moving.Wait()
		if n := len(strings.Fields(s.outline(t))); n != len(ids) {
			t.Errorf("%d of %d categories are beneath the top: %s", n, len(ids), s.outline(t))
		}
	})
}

// An instance sees what another one has changed, and a tree that was restored.
func TestTreeOfAnotherInstance(t *testing.T) {
	everyDatabase(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "sqlite://:memory:") {
			url = "sqlite://" + t.TempDir() + "/shop.db"
		}
		one, other := openShop(t, everyRowLock, url, ""), openShop(t, everyRowLock, url, "")
		id := one.category(t, "Home", "")
		slicesSame(t, other.outline(t), "Home")
		_, err := other.Catalog.UpdateCategory(t.Context(), admin, commerce.UpdateCategory{ID: id, Version: 1, Name: new("House")})
		must(t, err)
		slicesSame(t, one.outline(t), "House")
	})
}
