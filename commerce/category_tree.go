package commerce

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"holdfast/ent"
	"holdfast/ent/categorytree"
)

// treeID is the ID of the only row of the lock of the tree.
const treeID = 1

// CategoryTree is all categories at one moment. It never changes.
type CategoryTree struct {
	token    int64
	byID     map[string]*ent.Category
	byHandle map[string]*ent.Category
	children map[string][]*ent.Category // by the parent, "" for the top; in their order
	all      []*ent.Category            // each one before its children
	paths    map[string]string          // by ID: what all is sorted by
}

func newCategoryTree(token int64, rows []*ent.Category) *CategoryTree {
	t := &CategoryTree{
		token: token, byID: make(map[string]*ent.Category, len(rows)), byHandle: make(map[string]*ent.Category, len(rows)),
		children: map[string][]*ent.Category{}, paths: make(map[string]string, len(rows)),
	}
	for _, row := range rows {
		t.byID[row.ID], t.byHandle[row.Handle] = row, row
		t.children[parentOf(row)] = append(t.children[parentOf(row)], row)
	}
	for _, siblings := range t.children {
		slices.SortFunc(siblings, func(a, b *ent.Category) int {
			return cmp.Or(cmp.Compare(a.Position, b.Position), strings.Compare(a.ID, b.ID))
		})
	}
	t.add("", "")
	return t
}

// add adds the categories beneath one to the list of all.
func (t *CategoryTree) add(parent, path string) {
	for _, row := range t.children[parent] {
		own := fmt.Sprintf("%s%07d/%s/", path, row.Position, row.ID)
		t.paths[row.ID], t.all = own, append(t.all, row)
		t.add(row.ID, own)
	}
}

func parentOf(row *ent.Category) string {
	if row.ParentID == nil {
		return ""
	}
	return *row.ParentID
}

// Category returns a category, or nil if there is none.
func (t *CategoryTree) Category(id string) *ent.Category { return t.byID[id] }

// ByHandle returns the category of a handle, or nil if there is none.
func (t *CategoryTree) ByHandle(handle string) *ent.Category { return t.byHandle[handle] }

// Ancestors returns the categories above one, that at the top first.
func (t *CategoryTree) Ancestors(id string) []*ent.Category {
	var above []*ent.Category
	for row := t.byID[id]; row != nil && row.ParentID != nil; {
		row = t.byID[*row.ParentID]
		above = append(above, row)
	}
	slices.Reverse(above)
	return above
}

// within returns the IDs of a category and of those beneath it; none if it does not exist.
func (t *CategoryTree) within(id string) []string {
	if t.byID[id] == nil {
		return nil
	}
	ids := []string{id}
	for i := 0; i < len(ids); i++ {
		for _, row := range t.children[ids[i]] {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

// depth returns how many categories there are from the top to one, itself included; 0 for none.
func (t *CategoryTree) depth(id string) int {
	if t.byID[id] == nil {
		return 0
	}
	return len(t.Ancestors(id)) + 1
}

// height returns how many categories there are from one to the deepest one beneath it, itself included.
func (t *CategoryTree) height(id string) int {
	most := 0
	for _, row := range t.children[id] {
		most = max(most, t.height(row.ID))
	}
	return most + 1
}

// Categories returns the tree of categories. An instance has it in its memory, and reads whether it is still the one of the database.
func (s *Catalog) Categories(ctx context.Context) (*CategoryTree, error) {
	// The token is read first: categories that are newer than their token are read again, and never taken for those of a later one.
	row, err := s.Client.CategoryTree.Query().Where(categorytree.ID(treeID)).Only(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state of the categories: %w", err)
	}
	if tree := s.tree.Load(); tree != nil && tree.token == row.Token {
		return tree, nil
	}
	rows, err := s.Client.Category.Query().All(ctx) // schema.MaxCategories at most
	if err != nil {
		return nil, fmt.Errorf("read the categories: %w", err)
	}
	tree := newCategoryTree(row.Token, rows)
	s.tree.Store(tree)
	return tree, nil
}

// lockedTree returns the tree as it is until the transaction ends, which is going to change it.
func lockedTree(ctx context.Context, tx *ent.Tx) (*CategoryTree, error) {
	row, err := lockRows(ctx, tx.CategoryTree.UpdateOneID(treeID).SetToken(rand.Int64()).Save)
	if err != nil {
		return nil, fmt.Errorf("lock the categories: %w", err)
	}
	rows, err := tx.Category.Query().All(ctx)
	if err != nil {
		return nil, err
	}
	return newCategoryTree(row.Token, rows), nil
}

// CategoryQuery asks for a list of categories.
type CategoryQuery struct {
	// Parent is whose children are listed; nil for all categories, each one before its children.
	Parent *string // "" for the top
	Page   Page
}

// List returns one page of categories. Errors: INVALID_INPUT of a page.
func (t *CategoryTree) List(q CategoryQuery) (PageOf[*ent.Category], error) {
	rows, name := t.all, "categories"
	if q.Parent != nil {
		rows, name = t.children[*q.Parent], "categories:"+*q.Parent
	}
	asked, err := q.Page.of(listing{name: name, by: textAndID})
	if err != nil {
		return PageOf[*ent.Category]{}, err
	}
	page := pageOf(asked.of(rows, t.paths), asked, func(row *ent.Category) position { return position{Text: t.paths[row.ID], ID: row.ID} })
	page.Count = counting(func(_ context.Context, limit int) (int, error) { return min(len(rows), limit), nil })
	return page, nil
}

// of reads the span of a list that is in memory, sorted by paths.
func (s span) of(rows []*ent.Category, paths map[string]string) []*ent.Category {
	var some []*ent.Category
	for _, row := range rows {
		path := paths[row.ID]
		if (s.after == nil || path > s.after.Text) && (s.before == nil || path < s.before.Text) {
			some = append(some, row)
		}
	}
	if s.backward {
		slices.Reverse(some)
	}
	return some[:min(len(some), s.limit())]
}

// CategoriesOf returns the categories of products, each in the order in which they were given.
func (s *Catalog) CategoriesOf(ctx context.Context, productIDs []string) (map[string][]*ent.Category, error) {
	rows, err := s.memberships(ctx, s.Client.ProductCategory, productIDs)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	tree, err := s.Categories(ctx)
	if err != nil {
		return nil, err
	}
	categories := make(map[string][]*ent.Category, len(productIDs))
	for _, row := range rows {
		if found := tree.byID[row.CategoryID]; found != nil { // else it has been deleted since
			categories[row.ProductID] = append(categories[row.ProductID], found)
		}
	}
	return categories, nil
}
