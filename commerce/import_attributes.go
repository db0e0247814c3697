package commerce

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/ent"
	"holdfast/ent/schema"
)

// ImportAttributes are what a file says of a product besides its name, price and stock. What is nil stays as it is here.
type ImportAttributes struct {
	// Handle is what the handle of a new product is made of; "": of its name. A product that is here keeps its own. It tells which rows with
	// options are of one product.
	Handle              string
	Vendor, ProductType *string
	Tags                []string
	Images              []Image // of a URL that is here, the size stays
	// Category is the names of a category and of those above it, that at the top first; nil for none. Those that are not here are added. The
	// product stays in the others that it is in.
	Category []string
}

// maxCategoryNames bounds the names of a category of a row.
const maxCategoryNames = schema.MaxCategoryDepth

// attributesHere are what products have that are here, and where the categories of a file are.
type attributesHere struct {
	images     map[string][]*ent.ProductImage
	categories map[string][]string // IDs by the product
	tree       *CategoryTree
}

// readAttributes reads what the products of some rows have, as far as the rows say something about it.
func (s *Catalog) readAttributes(ctx context.Context, plans []*importPlan) (here attributesHere, err error) {
	var pictured, sorted []string
	for _, p := range plans {
		row := p.productRow()
		if row == nil || !p.describes() {
			continue
		}
		if p.in.Images != nil {
			pictured = append(pictured, row.ID)
		}
		if p.in.Category != nil {
			sorted = append(sorted, row.ID)
		}
	}
	if pictured != nil {
		if here.images, err = s.ImagesOf(ctx, pictured); err != nil {
			return here, err
		}
	}
	if slices.ContainsFunc(plans, func(p *importPlan) bool { return p.in.Category != nil }) {
		if here.tree, err = s.Categories(ctx); err != nil {
			return here, err
		}
	}
	if sorted == nil {
		return here, nil
	}
	rows, err := s.memberships(ctx, s.Client.ProductCategory, sorted)
	here.categories = map[string][]string{}
	for _, row := range rows {
		here.categories[row.ProductID] = append(here.categories[row.ProductID], row.CategoryID)
	}
	return here, err
}

// differing returns what of the attributes of a row differs from what is here. Of a new product, that is all. A category that is not here
// yet differs, and has no ID.
func (p *importPlan) differing(here attributesHere) (a Attributes, differs bool) {
	row := p.productRow()
	switch {
	case row == nil:
		row = new(ent.Product)
	case !p.describes():
		return Attributes{}, false
	}
	if p.in.Vendor != nil && *p.in.Vendor != row.Vendor {
		a.Vendor = p.in.Vendor
	}
	if p.in.ProductType != nil && *p.in.ProductType != row.ProductType {
		a.ProductType = p.in.ProductType
	}
	if tags, _ := TidyTags(p.in.Tags, len(p.in.Tags)); p.in.Tags != nil && !slices.Equal(tags, row.Tags) {
		a.Tags = p.in.Tags
	}
	if images := sized(p.in.Images, here.images[row.ID]); p.in.Images != nil && !samePictures(images, here.images[row.ID]) {
		a.Images = images
	}
	differs = a.Vendor != nil || a.ProductType != nil || a.Tags != nil || a.Images != nil
	if p.in.Category == nil {
		return a, differs
	}
	own, id := here.categories[row.ID], here.tree.find(p.in.Category)
	if id == "" {
		return a, true
	}
	if !slices.Contains(own, id) && len(own) < schema.MaxProductCategories {
		a.CategoryIDs, differs = append(slices.Clone(own), id), true
	}
	return a, differs
}

// sized returns images with the sizes that those of the same URLs have here.
func sized(images []Image, here []*ent.ProductImage) []Image {
	images = slices.Clone(images)
	for i := range images {
		images[i].URL, images[i].AltText = strings.TrimSpace(images[i].URL), strings.TrimSpace(images[i].AltText)
		at := slices.IndexFunc(here, func(row *ent.ProductImage) bool { return row.URL == images[i].URL })
		if at >= 0 && images[i].Width == nil && images[i].Height == nil {
			images[i].Width, images[i].Height = here[at].Width, here[at].Height
		}
	}
	return images
}

func samePictures(images []Image, here []*ent.ProductImage) bool {
	return slices.EqualFunc(images, here, func(image Image, row *ent.ProductImage) bool {
		return image.URL == row.URL && image.AltText == row.AltText && sameSize(image.Width, row.Width) && sameSize(image.Height, row.Height)
	})
}

func sameSize(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

// find returns the ID of the category of a path of names, "" if it is not here. Of several of one name beneath one category, it is the first.
func (t *CategoryTree) find(names []string) string {
	id := ""
	for _, name := range names {
		at := slices.IndexFunc(t.children[id], func(row *ent.Category) bool { return foldCase(row.Name) == foldCase(name) })
		if at < 0 {
			return ""
		}
		id = t.children[id][at].ID
	}
	return id
}

// checkCategoryNames refuses a path that no category can have.
func (r ImportRow) checkCategoryNames() Errors {
	if n := len(r.Category); n > maxCategoryNames {
		return Errors{invalid(input("category"), "a category has at most %d names, with those above it, not %d", maxCategoryNames, n)}
	}
	var errs Errors
	for i, name := range r.Category {
		for _, e := range checkText("category", strings.TrimSpace(name), 1, schema.MaxName) {
			e.Field = append(e.Field, fmt.Sprint(i))
			errs = append(errs, e)
		}
	}
	return errs
}

// addCategories adds the categories of a file that are not here, in one transaction. A repeat, and another import at the same time, find them
// here. Errors: INVALID_STATE if there would be too many.
func (s *Catalog) addCategories(ctx context.Context, rows []ImportRow) error {
	var paths [][]string
	for _, row := range rows {
		if row.Category != nil && row.checkCategoryNames() == nil {
			paths = append(paths, eachTrimmed(row.Category))
		}
	}
	if paths == nil {
		return nil
	}
	tree, err := s.Categories(ctx)
	if err != nil || !slices.ContainsFunc(paths, func(path []string) bool { return tree.find(path) == "" }) {
		return err
	}
	return s.inTx(ctx, func(tx *ent.Tx) error {
		tree, err := lockedTree(ctx, tx)
		if err != nil {
			return err
		}
		for _, path := range paths {
			for n := range path {
				if tree.find(path[:n+1]) != "" {
					continue
				}
				if tree, err = s.addCategory(ctx, tx, tree, path[:n], path[n]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// addCategory adds a category beneath a path, and returns the tree with it.
func (s *Catalog) addCategory(ctx context.Context, tx *ent.Tx, tree *CategoryTree, above []string, name string) (*CategoryTree, error) {
	if len(tree.all) >= schema.MaxCategories {
		return nil, tooManyCategories()
	}
	parent := tree.find(above)
	handle, err := tree.handle(nil, name, "")
	if err != nil {
		return nil, err
	}
	create := tx.Category.Create().SetID(newID(prefixCategory)).SetName(name).SetHandle(handle).SetPosition(tree.position(parent, nil)).
		SetCreatedAt(s.now()).SetUpdatedAt(s.now())
	if parent != "" {
		create.SetParentID(parent)
	}
	row, err := create.Save(ctx)
	if err != nil {
		return nil, err
	}
	return newCategoryTree(tree.token, append(slices.Clone(tree.all), row)), nil
}

// productRow is the product of a plan, nil if there is none yet.
func (p *importPlan) productRow() *ent.Product {
	switch {
	case p.group != nil:
		return p.group.home
	case p.row == nil:
		return nil
	}
	return p.row.Edges.Product
}

// creationAttributes are those of the new products of some plans, with their handles.
func (s *Catalog) creationAttributes(ctx context.Context, tx *ent.Tx, plans []*importPlan) ([]Attributes, error) {
	texts := make([]string, len(plans))
	for i, p := range plans {
		texts[i] = p.in.Handle
		if texts[i] == "" {
			texts[i] = p.in.Name
		}
	}
	handles, err := freeHandles(ctx, tx, texts, 1)
	if err != nil {
		return nil, err
	}
	all := make([]Attributes, len(plans))
	for i, p := range plans {
		tidy, errs := p.attributes.tidied()
		if errs != nil {
			return nil, errs
		}
		tidy.Handle = &handles[i]
		all[i] = tidy
	}
	return all, nil
}

// imagesAtOnce bounds the images that one statement inserts: each has six parameters, and SQLite takes 32,766.
const imagesAtOnce = 1000

// writeCreated writes what new products have in tables of their own.
func writeCreated(ctx context.Context, tx *ent.Tx, ids []string, all []Attributes) error {
	var images []*ent.ProductImageCreate
	var categories []*ent.ProductCategoryCreate
	for i, a := range all {
		images = append(images, imageRows(tx, ids[i], a.Images)...)
		for position, id := range a.CategoryIDs {
			categories = append(categories, tx.ProductCategory.Create().SetProductID(ids[i]).SetCategoryID(id).SetPosition(position))
		}
	}
	for some := range slices.Chunk(images, imagesAtOnce) {
		if err := tx.ProductImage.CreateBulk(some...).Exec(ctx); err != nil {
			return err
		}
	}
	return tx.ProductCategory.CreateBulk(categories...).Exec(ctx)
}

// set sets the attributes of a product that is here, as far as they are columns of it.
func (a Attributes) set(update *ent.ProductUpdate) *ent.ProductUpdate {
	update.SetNillableVendor(a.Vendor).SetNillableProductType(a.ProductType)
	if a.Tags != nil {
		update.SetTags(a.Tags)
	}
	return update
}
