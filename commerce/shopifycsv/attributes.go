package shopifycsv

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"holdfast/commerce"
	"holdfast/ent/schema"
)

// The columns of what a product has besides its name, price and stock.
const (
	colVendor        = "Vendor"
	colTags          = "Tags"
	colType          = "Type"
	colCategory      = "Product Category"
	colImage         = "Image Src"
	colImagePosition = "Image Position"
	colImageText     = "Image Alt Text"
	colVariantImage  = "Variant Image"
)

const (
	noteVendorCut   = "the vendor is longer than a product's may be: its end is cut off"
	noteTypeCut     = "the type is longer than a product's may be: its end is cut off"
	noteTags        = "there are more tags than a product may have, or longer ones: these are left out"
	noteCategory    = "the category is deeper than one may be, or has a longer name: what is too much is left out"
	noteImageURL    = "an image is left out: its URL is not one that begins with https://"
	noteManyImages  = "there are more images than a product may have: the last ones are left out"
	noteImageText   = "the text of an image is longer than it may be: its end is cut off"
	noteOwnImage    = "the picture of a variant comes among those of its product: variants have none of their own"
	noteHandle      = "the handle has other characters than small letters, digits and hyphens: these are replaced"
	categoryDivider = ">"
)

// attributes are what the lines of a product say of it besides texts, prices and quantities.
type attributes struct {
	vendor, productType *string
	tags                []string
	category            []string
	images              []fileImage // without repetitions
	own                 []string    // those of its variants, likewise
	all                 []commerce.Image
}

// fileImage is a picture, and where it is among those of its product.
type fileImage struct {
	commerce.Image
	position int
}

// described takes what the line says that has the title of its product.
func (p *parser) described(l fileLine, product *fileProduct) {
	text := func(column string, most int, note string) *string {
		if _, ok := p.columns[column]; !ok {
			return nil
		}
		value, cut := shortened(p.cell(l, column), most)
		if cut {
			p.note(l.number, note)
		}
		return &value
	}
	product.vendor = text(colVendor, schema.MaxVendor, noteVendorCut)
	product.productType = text(colType, schema.MaxProductType, noteTypeCut)
	if _, ok := p.columns[colTags]; ok {
		product.tags = p.tags(l)
	}
	product.category = p.category(l)
	if handle := p.cell(l, colHandle); handle != "" && handle != commerce.HandleFrom(handle, "") {
		p.note(l.number, noteHandle)
	}
}

// tags are those of a line, as many as a product may have.
func (p *parser) tags(l fileLine) []string {
	parts := strings.Split(p.cell(l, colTags), ",")
	tags := slices.DeleteFunc(parts, func(tag string) bool {
		tag = strings.TrimSpace(tag)
		return len([]rune(tag)) > schema.MaxTag || strings.ContainsFunc(tag, unicode.IsControl)
	})
	kept, over := commerce.TidyTags(tags, schema.MaxTags)
	if over > 0 || len(tags) < strings.Count(p.cell(l, colTags), ",")+1 {
		p.note(l.number, noteTags)
	}
	return kept
}

// category is the path of a category, such as Home & Garden > Lighting; nil if the line gives none.
func (p *parser) category(l fileLine) []string {
	var names []string
	for name := range strings.SplitSeq(p.cell(l, colCategory), categoryDivider) {
		name, cut := shortened(strings.TrimSpace(name), schema.MaxName)
		if name == "" {
			continue
		}
		if cut || len(names) == schema.MaxCategoryDepth {
			p.note(l.number, noteCategory)
		}
		if len(names) < schema.MaxCategoryDepth {
			names = append(names, name)
		}
	}
	return names
}

// picture takes the picture of a line, of whatever kind the line is, and that of its variant.
func (p *parser) picture(l fileLine, product *fileProduct) {
	if own := p.imageURL(l, colVariantImage); own != "" && !slices.Contains(product.own, own) {
		product.own = append(product.own, own)
	}
	url := p.imageURL(l, colImage)
	if url == "" {
		return
	}
	text, cut := shortened(p.cell(l, colImageText), schema.MaxAltText)
	if cut {
		p.note(l.number, noteImageText)
	}
	position, err := strconv.Atoi(p.cell(l, colImagePosition))
	if err != nil || position < 1 {
		position = len(product.images) + 1
	}
	at := slices.IndexFunc(product.images, func(image fileImage) bool { return image.URL == url })
	if at < 0 {
		product.images = append(product.images, fileImage{commerce.Image{URL: url, AltText: text}, position})
		return
	}
	if product.images[at].AltText == "" {
		product.images[at].AltText = text
	}
}

// imageURL is the URL of a column; "" if it has none that a product may have.
func (p *parser) imageURL(l fileLine, column string) string {
	url := p.cell(l, column)
	if strings.HasPrefix(url, "//") { // as pages have it, for their own scheme
		url = "https:" + url
	}
	if url != "" && commerce.CheckImageURL(url) != "" {
		p.note(l.number, noteImageURL)
		return ""
	}
	return url
}

// imported is what the row of a variant says of its product.
func (p *parser) imported(product *fileProduct, handle string) commerce.ImportAttributes {
	a := commerce.ImportAttributes{
		Handle: handle, Vendor: product.vendor, ProductType: product.productType, Tags: product.tags, Category: product.category,
	}
	_, pictured := p.columns[colImage]
	_, ownPicture := p.columns[colVariantImage]
	if pictured || ownPicture {
		a.Images = p.pictures(product)
	}
	return a
}

// pictures are those of a product. The pictures of its variants come last, but that of an only variant without options first.
func (p *parser) pictures(product *fileProduct) []commerce.Image {
	if product.all != nil {
		return product.all
	}
	sorted := slices.SortedStableFunc(slices.Values(product.images), func(a, b fileImage) int { return cmp.Compare(a.position, b.position) })
	all := []commerce.Image{}
	for _, image := range sorted {
		all = append(all, image.Image)
	}
	for _, own := range product.own {
		image := commerce.Image{URL: own}
		at := slices.IndexFunc(all, func(i commerce.Image) bool { return i.URL == own })
		switch {
		case product.values > 0 && at < 0:
			all = append(all, image)
		case product.values == 0 && at >= 0:
			image = all[at]
			all = slices.Insert(slices.Delete(all, at, at+1), 0, image)
		case product.values == 0:
			all = slices.Insert(all, 0, image)
		}
	}
	if len(all) > schema.MaxImages {
		p.note(product.line, noteManyImages)
		all = all[:schema.MaxImages]
	}
	product.all = all
	return all
}

// Unused is a column that is not read.
type Unused struct {
	Column string
	Lines  int // that have something in it
}

// countUnused counts what a line has in columns that are not read.
func (p *parser) countUnused(l fileLine) {
	for i, column := range p.unused {
		if column < len(l.cells) && strings.TrimSpace(l.cells[column]) != "" {
			p.file.Unused[i].Lines++
		}
	}
}
