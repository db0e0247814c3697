package commerce

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/category"
	"holdfast/ent/productcategory"
	"holdfast/ent/schema"
)

// maxPosition bounds the position of a category.
const maxPosition = 1_000_000

// CreateCategory describes a new category.
type CreateCategory struct {
	Key      uuid.UUID // the nil UUID for none
	Name     string
	Handle   *string `json:",omitempty"` // nil: it is made of the name
	ParentID *string `json:",omitempty"` // nil for the top
	Position *int    `json:",omitempty"` // nil: behind the others of the parent
	id       string  // demo data choose theirs
}

// CreateCategory adds a category to the tree. Admins only. A repeat with the same key returns the first one, as it is now. Errors:
// INVALID_INPUT, also for a handle that exists and a tree that would be too deep, NOT_FOUND of the parent, INVALID_STATE if there are as many
// categories as a shop may have, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_EXPIRED.
func (s *Catalog) CreateCategory(ctx context.Context, v Viewer, in CreateCategory) (*ent.Category, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.Name, in.Handle = strings.TrimSpace(in.Name), trimmed(in.Handle)
	if errs := checkCategory(&in.Name, in.Handle, in.Position); errs != nil {
		return nil, errs
	}
	op := newOperation(v, "categoryCreate", in.Key, in).waitingBriefly()
	if in.id == "" {
		in.id = op.objectID(prefixCategory)
	}
	return changeOnce(ctx, s.core, op, in.id, s.Client.Category.Get, func(tx *ent.Tx) (*ent.Category, error) {
		tree, err := lockedTree(ctx, tx)
		switch {
		case err != nil:
			return nil, err
		case tree.byID[in.id] != nil && op.keyed():
			return nil, keyExpired()
		case len(tree.all) >= schema.MaxCategories:
			return nil, tooManyCategories()
		}
		parent := orBlank(in.ParentID)
		if err := tree.checkParent(parent, 1); err != nil {
			return nil, err
		}
		handle, err := tree.handle(in.Handle, in.Name, in.id)
		if err != nil {
			return nil, err
		}
		return tx.Category.Create().SetID(in.id).SetName(in.Name).SetHandle(handle).SetNillableParentID(in.ParentID).
			SetPosition(tree.position(parent, in.Position)).SetCreatedAt(s.now()).SetUpdatedAt(s.now()).Save(ctx)
	})
}

func tooManyCategories() error {
	return &Error{
		Code: InvalidState, Message: fmt.Sprintf("a shop has at most %d categories, and has as many already; delete or rename one", schema.MaxCategories),
	}
}

// CategoryID is the ID of the category that a viewer creates with a key.
func CategoryID(v Viewer, key uuid.UUID) string {
	return idOf(prefixCategory, operationID(v, "categoryCreate", key))
}

// UpdateCategory changes what is given; nil leaves as it is.
type UpdateCategory struct {
	Key      uuid.UUID // the nil UUID for none
	ID       string
	Version  int // the version that the caller saw
	Name     *string
	Handle   *string
	Position *int
	Parent   NewParent
}

// NewParent is where a category is moved to, with all beneath it.
type NewParent struct {
	Given bool    // else it stays
	ID    *string // nil for the top
}

// UpdateCategory changes a category. Admins only. A repeat with the same key changes nothing and returns the category as it is now. Errors:
// NOT_FOUND, also of the parent, INVALID_INPUT, also for a parent that is beneath the category, IDEMPOTENCY_MISMATCH, VERSION_CONFLICT if
// somebody else changed it since the caller looked.
func (s *Catalog) UpdateCategory(ctx context.Context, v Viewer, in UpdateCategory) (*ent.Category, error) {
	if err := v.admin(); err != nil {
		return nil, err
	}
	in.Name, in.Handle = trimmed(in.Name), trimmed(in.Handle)
	if errs := checkCategory(in.Name, in.Handle, in.Position); errs != nil {
		return nil, errs
	}
	op := newOperation(v, "categoryUpdate", in.Key, in).waitingBriefly()
	return changeOnce(ctx, s.core, op, in.ID, s.Client.Category.Get, func(tx *ent.Tx) (*ent.Category, error) {
		tree, err := lockedTree(ctx, tx)
		if err != nil {
			return nil, err
		}
		row, err := existing(tree.byID[in.ID], nil, "category", in.ID)
		switch {
		case err != nil:
			return nil, err
		case row.Version != in.Version:
			return nil, versionConflict("category", row.Version)
		}
		update := tx.Category.UpdateOneID(in.ID).SetNillableName(in.Name).SetNillablePosition(in.Position).AddVersion(1).SetUpdatedAt(s.now())
		if in.Handle != nil {
			handle, err := tree.handle(in.Handle, "", in.ID)
			if err != nil {
				return nil, err
			}
			update.SetHandle(handle)
		}
		if in.Parent.Given {
			if err := tree.move(update, row, in.Parent.ID, in.Position); err != nil {
				return nil, err
			}
		}
		return update.Save(ctx)
	})
}

// move has an update move a category beneath another one.
func (t *CategoryTree) move(update *ent.CategoryUpdateOne, row *ent.Category, to *string, position *int) error {
	parent := orBlank(to)
	if slices.Contains(t.within(row.ID), parent) {
		return invalid(input("parentId"), "a category cannot be moved beneath itself; move the one beneath it away first")
	}
	if err := t.checkParent(parent, t.height(row.ID)); err != nil {
		return err
	}
	if parent == "" {
		update.ClearParentID()
	} else {
		update.SetParentID(parent)
	}
	if position == nil && parent != parentOf(row) {
		update.SetPosition(t.position(parent, nil))
	}
	return nil
}

// DeleteCategory names a category to delete.
type DeleteCategory struct {
	Key uuid.UUID // the nil UUID for none
	ID  string
}

// DeleteCategory deletes a category that has none beneath it. Products that are in it stay, and are in it no longer. Admins only. A repeat
// with the same key does nothing. Errors: NOT_FOUND, INVALID_STATE if it has others beneath it, IDEMPOTENCY_MISMATCH.
func (s *Catalog) DeleteCategory(ctx context.Context, v Viewer, in DeleteCategory) error {
	if err := v.admin(); err != nil {
		return err
	}
	op := newOperation(v, "categoryDelete", in.Key, in).waitingBriefly()
	_, err := s.once(ctx, op, func(tx *ent.Tx) error {
		tree, err := lockedTree(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := existing(tree.byID[in.ID], nil, "category", in.ID); err != nil {
			return err
		}
		if n := len(tree.children[in.ID]); n > 0 {
			return &Error{
				Code: InvalidState, Field: input("id"),
				Message: fmt.Sprintf("this category has %d others directly beneath it; move or delete those first", n),
			}
		}
		return tx.Category.DeleteOneID(in.ID).Exec(ctx)
	})
	return err
}

func checkCategory(name, handle *string, position *int) Errors {
	var errs Errors
	if name != nil {
		errs = append(errs, checkText("name", *name, 1, schema.MaxName)...)
	}
	if handle != nil {
		errs = append(errs, checkHandle(*handle)...)
	}
	if position != nil && (*position < 0 || *position > maxPosition) {
		errs = append(errs, invalid(input("position"), "position must be 0 to %d, not %d", maxPosition, *position))
	}
	return errs
}

// checkParent refuses a parent that does not exist, or beneath which categories of a height would be too deep.
func (t *CategoryTree) checkParent(parent string, height int) error {
	if parent != "" && t.byID[parent] == nil {
		return notFound(input("parentId"), "category", parent)
	}
	if depth := t.depth(parent) + height; depth > schema.MaxCategoryDepth {
		return invalid(input("parentId"), "the tree of categories would be %d deep, and may be %d; choose a parent further up", depth, schema.MaxCategoryDepth)
	}
	return nil
}

// position returns the given position, or that behind the others of a parent.
func (t *CategoryTree) position(parent string, given *int) int {
	if given != nil {
		return *given
	}
	siblings := t.children[parent]
	if len(siblings) == 0 {
		return 0
	}
	return min(siblings[len(siblings)-1].Position+1, maxPosition)
}

// handle returns the handle that a category gets: the given one, unless another category has it, or a free one that is made of the name.
func (t *CategoryTree) handle(given *string, name, id string) (string, error) {
	if given != nil {
		if other := t.byHandle[*given]; other != nil && other.ID != id {
			return "", invalid(input("handle"), "another category has the handle %.80q; choose another one", *given)
		}
		return *given, nil
	}
	base := HandleFrom(name, "category")
	handle := base
	for round := 1; t.byHandle[handle] != nil; round++ { // of schema.MaxCategories at most
		handle = fmt.Sprintf("%s-%d", base, round)
	}
	return handle, nil
}

// memberships returns which products are in which categories.
func (s *Catalog) memberships(ctx context.Context, client *ent.ProductCategoryClient, productIDs []string) ([]*ent.ProductCategory, error) {
	rows, err := client.Query().Where(productcategory.ProductIDIn(productIDs...)).Order(productcategory.ByPosition()).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the categories of products: %w", err)
	}
	return rows, nil
}

// CategoriesByID returns those of the categories that exist.
func (s *Catalog) CategoriesByID(ctx context.Context, _ Viewer, ids []string) (map[string]*ent.Category, error) {
	rows, err := s.Client.Category.Query().Where(category.IDIn(ids...)).All(ctx)
	byID := make(map[string]*ent.Category, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	return byID, err
}
