package commerce

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"holdfast/ent"
	"holdfast/ent/category"
	"holdfast/ent/product"
	"holdfast/ent/productcategory"
	"holdfast/ent/productimage"
	"holdfast/ent/schema"
)

// maxPixels bounds width and height of an image. Chosen: no browser shows more.
const maxPixels = 100_000

// Attributes are what a product has besides its name, price and stock. What is nil stays as it is; a new product has none of it then, and a
// handle that is made of its name.
type Attributes struct {
	// Handle names the product in URLs. No other product has it.
	Handle              *string  `json:",omitempty"`
	Vendor, ProductType *string  `json:",omitempty"` // "" for none
	Tags                []string `json:",omitzero"`  // each once, whatever the case
	Images              []Image  `json:",omitzero"`  // the first one is the featured one
	CategoryIDs         []string `json:",omitzero"`
}

// Image is a picture of a product: where it is, not the file.
type Image struct {
	URL           string // https
	AltText       string `json:",omitempty"` // what it shows, for those who do not see it
	Width, Height *int   `json:",omitempty"` // in pixels; nil if they are not known
}

// tidied returns the attributes without blanks around texts and without repetitions, or what is wrong with them.
func (a Attributes) tidied() (Attributes, Errors) {
	var errs Errors
	a.Handle, a.Vendor, a.ProductType = trimmed(a.Handle), trimmed(a.Vendor), trimmed(a.ProductType)
	if a.Handle != nil {
		errs = append(errs, checkHandle(*a.Handle)...)
	}
	errs = append(errs, checkText("vendor", orBlank(a.Vendor), 0, schema.MaxVendor)...)
	errs = append(errs, checkText("productType", orBlank(a.ProductType), 0, schema.MaxProductType)...)
	var wrong Errors
	if a.Tags, wrong = tidyTags(a.Tags); wrong != nil {
		errs = append(errs, wrong...)
	}
	errs = append(errs, a.tidyImages()...)
	a.CategoryIDs = firsts(a.CategoryIDs, func(id string) string { return id })
	if n := len(a.CategoryIDs); n > schema.MaxProductCategories {
		errs = append(errs, invalid(input("categoryIds"), "a product is in at most %d categories, not %d", schema.MaxProductCategories, n))
	}
	return a, errs
}

func trimmed(text *string) *string {
	if text == nil {
		return nil
	}
	t := strings.TrimSpace(*text)
	return &t
}

func orBlank(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// firsts returns the first element of each key, in the order in which they are. It returns nil for nil.
func firsts[T any](list []T, key func(T) string) []T {
	if list == nil {
		return nil
	}
	seen, result := map[string]bool{}, make([]T, 0, len(list))
	for _, element := range list {
		if k := key(element); !seen[k] {
			seen[k] = true
			result = append(result, element)
		}
	}
	return result
}

// TidyTags returns the first n tags that a product can have, each once whatever the case, as Shopify does it, and how many it has left out
// because they are too many.
func TidyTags(tags []string, n int) (kept []string, over int) {
	tags = slices.DeleteFunc(eachTrimmed(tags), func(tag string) bool { return tag == "" })
	kept = firsts(tags, foldCase)
	if len(kept) > n {
		return kept[:n], len(kept) - n
	}
	return kept, 0
}

func eachTrimmed(texts []string) []string {
	result := make([]string, len(texts))
	for i, text := range texts {
		result[i] = strings.TrimSpace(text)
	}
	return result
}

func tidyTags(tags []string) ([]string, Errors) {
	if tags == nil {
		return nil, nil
	}
	var errs Errors
	for i, tag := range tags {
		for _, e := range checkText("tags", strings.TrimSpace(tag), 1, schema.MaxTag) {
			e.Field = input("tags", strconv.Itoa(i))
			e.Message = strings.Replace(e.Message, "tags must", "a tag must", 1)
			errs = append(errs, e)
		}
		if strings.ContainsFunc(tag, func(r rune) bool { return r == ',' || unicode.IsControl(r) }) {
			errs = append(errs, invalid(input("tags", strconv.Itoa(i)), "a tag must have no commas or line breaks; give each tag as an element of the list"))
		}
		if len(errs) >= schema.MaxTags {
			break
		}
	}
	kept, over := TidyTags(tags, schema.MaxTags)
	if over > 0 {
		errs = append(errs, invalid(input("tags"), "a product has at most %d tags, not %d; leave some out", schema.MaxTags, len(kept)+over))
	}
	return kept, errs
}

// foldCase returns a text such that texts which differ in case only become the same text.
func foldCase(text string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(text))) }

// tidyImages takes blanks away from a copy of the images, and returns what is wrong with them.
func (a *Attributes) tidyImages() Errors {
	a.Images = slices.Clone(a.Images)
	if n := len(a.Images); n > schema.MaxImages {
		return Errors{invalid(input("images"), "a product has at most %d images, not %d; leave some out", schema.MaxImages, n)}
	}
	var errs Errors
	for i := range a.Images {
		image := &a.Images[i]
		image.URL, image.AltText = strings.TrimSpace(image.URL), strings.TrimSpace(image.AltText)
		at := func(part string) []string { return input("images", strconv.Itoa(i), part) }
		if problem := CheckImageURL(image.URL); problem != "" {
			errs = append(errs, invalid(at("url"), "url %s", problem))
		}
		for _, e := range checkText("altText", image.AltText, 0, schema.MaxAltText) {
			e.Field = at("altText")
			errs = append(errs, e)
		}
		for part, pixels := range map[string]*int{"width": image.Width, "height": image.Height} {
			if pixels != nil && (*pixels < 1 || *pixels > maxPixels) {
				errs = append(errs, invalid(at(part), "%s must be 1 to %d pixels, not %d; leave it out if it is not known", part, maxPixels, *pixels))
			}
		}
	}
	return errs
}

// CheckImageURL returns what is wrong with the URL of an image, "" for nothing. A browser of a customer asks for it, so it is https: over
// http, others would see and change what a shop shows. It has no user, which browsers refuse.
func CheckImageURL(text string) string {
	if n := len([]rune(text)); n > schema.MaxImageURL {
		return "must have at most " + strconv.Itoa(schema.MaxImageURL) + " characters, not " + strconv.Itoa(n)
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || strings.ContainsFunc(text, unicode.IsSpace) {
		return "must be an absolute URL that begins with https://, such as https://cdn.example.com/mug.jpg, without a user and blanks"
	}
	return ""
}

// write writes the attributes that a product has in tables of their own, within a transaction that has the product locked.
func (a Attributes) write(ctx context.Context, tx *ent.Tx, productID string) error {
	if a.Images != nil {
		if _, err := tx.ProductImage.Delete().Where(productimage.ProductID(productID)).Exec(ctx); err != nil {
			return err
		}
		if err := tx.ProductImage.CreateBulk(imageRows(tx, productID, a.Images)...).Exec(ctx); err != nil {
			return err
		}
	}
	if a.CategoryIDs == nil {
		return nil
	}
	if err := checkCategories(ctx, tx.Category, a.CategoryIDs); err != nil {
		return err
	}
	if _, err := tx.ProductCategory.Delete().Where(productcategory.ProductID(productID)).Exec(ctx); err != nil {
		return err
	}
	rows := make([]*ent.ProductCategoryCreate, len(a.CategoryIDs))
	for i, id := range a.CategoryIDs {
		rows[i] = tx.ProductCategory.Create().SetProductID(productID).SetCategoryID(id).SetPosition(i)
	}
	return tx.ProductCategory.CreateBulk(rows...).Exec(ctx)
}

func imageRows(tx *ent.Tx, productID string, images []Image) []*ent.ProductImageCreate {
	rows := make([]*ent.ProductImageCreate, len(images))
	for i, image := range images {
		rows[i] = tx.ProductImage.Create().SetProductID(productID).SetPosition(i).SetURL(image.URL).SetAltText(image.AltText).
			SetNillableWidth(image.Width).SetNillableHeight(image.Height)
	}
	return rows
}

// checkCategories refuses categories that do not exist.
func checkCategories(ctx context.Context, client *ent.CategoryClient, ids []string) error {
	found, err := client.Query().Where(category.IDIn(ids...)).IDs(ctx)
	if err != nil {
		return err
	}
	var errs Errors
	for i, id := range ids {
		if !slices.Contains(found, id) {
			errs = append(errs, notFound(input("categoryIds", strconv.Itoa(i)), "category", id))
		}
	}
	if errs != nil {
		return errs
	}
	return nil
}

// refused returns the refusal that a violated constraint stands for: a handle that another product has, or a category that has been deleted
// meanwhile. It returns err if it is none of these.
func (s *Catalog) refused(ctx context.Context, a Attributes, productID string, err error) error {
	if !ent.IsConstraintError(err) {
		return err
	}
	if a.Handle != nil {
		other, herr := s.Client.Product.Query().Where(product.Handle(*a.Handle), product.IDNEQ(productID)).Exist(ctx)
		if herr != nil {
			return herr
		}
		if other {
			return handleTaken(*a.Handle)
		}
	}
	if a.CategoryIDs != nil {
		if cerr := checkCategories(ctx, s.Client.Category, a.CategoryIDs); cerr != nil {
			return cerr
		}
	}
	return err
}

// ImagesOf returns the images of products, each in their order.
func (s *Catalog) ImagesOf(ctx context.Context, productIDs []string) (map[string][]*ent.ProductImage, error) {
	rows, err := s.Client.ProductImage.Query().Where(productimage.ProductIDIn(productIDs...)).Order(productimage.ByPosition()).All(ctx)
	images := make(map[string][]*ent.ProductImage, len(productIDs))
	for _, row := range rows {
		images[row.ProductID] = append(images[row.ProductID], row)
	}
	return images, err
}

// FeaturedImages returns the first image of each product that has any.
func (s *Catalog) FeaturedImages(ctx context.Context, productIDs []string) (map[string]*ent.ProductImage, error) {
	rows, err := s.Client.ProductImage.Query().Where(productimage.ProductIDIn(productIDs...), productimage.Position(0)).All(ctx)
	images := make(map[string]*ent.ProductImage, len(rows))
	for _, row := range rows {
		images[row.ProductID] = row
	}
	return images, err
}
