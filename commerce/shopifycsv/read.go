// Package shopifycsv reads the CSV files that Shopify exports, and what spreadsheets make of them. It knows no shop: what it reads
// is what [commerce.Catalog.Import] takes.
package shopifycsv

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/commerce"
	"holdfast/ent/schema"
)

// LineError tells what is wrong with one line of a file, where, and what to do about it.
type LineError struct {
	Line    int
	Column  string // its header; "" means the whole line
	Problem string
	Fix     string
}

// Error is the whole of it, for people.
func (e *LineError) Error() string {
	where := fmt.Sprintf("line %d", e.Line)
	if e.Column != "" {
		where += fmt.Sprintf(", column %q", e.Column)
	}
	return where + ": " + e.Problem + "; " + e.Fix
}

// The columns that are read, by the header of Shopify's product export, with the names that its other exports and its newer
// templates give them.
const (
	colHandle      = "Handle"
	colTitle       = "Title"
	colDescription = "Body (HTML)"
	colStatus      = "Status"
	colPublished   = "Published"
	colSKU         = "Variant SKU"
	colPrice       = "Variant Price"
	colStock       = "Variant Inventory Qty"
	colTracker     = "Variant Inventory Tracker"
	// Those of the inventory export.
	colLocation  = "Location"
	colAvailable = "Available"
	colOnHand    = "On hand"
)

var (
	optionColumns     = []string{"Option1 Value", "Option2 Value", "Option3 Value"}
	optionNameColumns = []string{"Option1 Name", "Option2 Name", "Option3 Name"}
)

var importColumns = slices.Concat([]string{
	colHandle, colTitle, colDescription, colStatus, colPublished, colSKU, colPrice, colStock, colTracker,
	colLocation, colAvailable, colOnHand,
	colVendor, colTags, colType, colCategory, colImage, colImagePosition, colImageText, colVariantImage,
}, optionColumns, optionNameColumns)

var columnAliases = map[string]string{
	"url handle": colHandle, "description": colDescription, "body html": colDescription, "body": colDescription,
	"sku": colSKU, "price": colPrice, "inventory quantity": colStock, "variant inventory quantity": colStock,
	"inventory tracker": colTracker, "published on online store": colPublished,
	"product type": colType, "custom product type": colType, "product image url": colImage, "image url": colImage, "image src": colImage,
	"variant image url": colVariantImage, "standard product type": colCategory,
	"available (not editable)": colAvailable, "on hand (current)": colOnHand,
}

// columnOf is the name of a column under which it is read, or "".
func columnOf(header string) string {
	name := strings.ToLower(strings.Join(strings.Fields(header), " "))
	for _, known := range importColumns {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return columnAliases[name]
}

// Columns of the inventory export that hold no quantity: in older files, the others behind them are locations.
var inventoryColumns = []string{"option1 name", "option2 name", "option3 name", "hs code", "coo"}

// onlyVariant is what Shopify calls the option of a product that has no options.
const onlyVariant = "Default Title"

// notStocked is what Shopify's inventory export says of a location that does not keep a variant.
const notStocked = "not stocked"

// Format says how a file is read. Only its currency has no default.
type Format struct {
	// Currency is that of the prices.
	Currency string
	// Encoding is the name of the file's encoding, such as "windows-1252"; "" means UTF-8, or UTF-16 with a byte order mark.
	Encoding string
	// Stock is the quantity of variants of which the file gives none; nil leaves theirs alone.
	Stock *int64
}

// File is what a file holds.
type File struct {
	Rows []commerce.ImportRow
	// Problems are those of lines that cannot be imported.
	Problems []*LineError
	Notes    []Note
	// Unused are the columns that are not read.
	Unused []Unused
	// Variants are the lines of variants, those that cannot be imported too.
	Variants int
}

// Note tells of a line that is imported otherwise than it stands there. The text is the same for all lines of the kind.
type Note struct {
	Line int
	Text string
}

// The notes.
const (
	noteNegative  = "the quantity is negative: on sale with 0"
	noteCut       = "the description is longer than a product's may be: its end is cut off"
	noteNameCut   = "the title is longer than a product's name may be: its end is cut off"
	noteShared    = "another variant has the same SKU: handle and options are added to it"
	noteLongSKU   = "the SKU is longer than a product's may be: its end is replaced by a checksum"
	noteRepeated  = "the line says the same as one before"
	noteUntracked = "the file gives no quantity, or its quantity is not tracked"
)

// Read reads Shopify's product export, of today or of earlier years: a line a variant, of which one of each product
// also holds the title, the description and the names of the options; the lines of a product have one handle, and their rows follow each other. lines without SKU, price, quantity and options add a picture. It also reads the inventory export,
// whose lines give the quantity of a variant at one location.
//
// Delimiter and ends of lines are found out. A line that cannot be read does not keep the others from being read. The error is
// that of r, or of an encoding that is not known.
//
// Each variant gets an SKU that no other has, and that is the same in the next file, in whatever order its lines are. That is its
// own; made of handle and options if it has none; or both if several have the same.
func Read(r io.Reader, format Format) (*File, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	text, err := decodeFile(raw, format.Encoding)
	if err != nil {
		return nil, err
	}
	p := &parser{format: format, file: &File{}, products: map[string]*fileProduct{}}
	p.read(text)
	slices.SortStableFunc(p.file.Problems, func(a, b *LineError) int { return cmp.Compare(a.Line, b.Line) })
	return p.file, nil
}

type parser struct {
	format   Format
	file     *File
	comma    rune
	columns  map[string]int
	places   []int // columns of locations, in an older inventory export
	unused   []int // columns that are not read, as File.Unused
	lines    []fileLine
	products map[string]*fileProduct
	variants []*fileVariant
}

// fileLine is a line with its cells.
type fileLine struct {
	number int
	cells  []string
	handle string
}

type fileProduct struct {
	title       string
	description *string
	offSale     *bool
	variants    int // lines that name one
	cut, named  bool
	options
	attributes
}

// fileVariant is a variant before it is known which SKUs the others have.
type fileVariant struct {
	row     commerce.ImportRow
	sku     string // that of the file
	handle  string
	options []string
}

func (p *parser) refuse(line int, column, problem, fix string) {
	p.file.Problems = append(p.file.Problems, &LineError{Line: line, Column: column, Problem: problem, Fix: fix})
}

func (p *parser) note(line int, text string) {
	p.file.Notes = append(p.file.Notes, Note{Line: line, Text: text})
}

// read reads the products first: the line that gives the title need not be the first one of its product.
func (p *parser) read(text string) {
	records, header, line := headerOf(text, func(column string) bool { return columnOf(column) != "" })
	switch {
	case header == nil:
		p.refuse(1, "", "the file is empty", "export the products from Shopify as a CSV file")
		return
	case !p.header(line, header):
		return
	}
	p.comma = records.comma
	for {
		cells, number, err := records.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.file.Variants++
			p.refuse(number, "", "not readable as CSV: "+err.Error(),
				"put a text with commas, quotes or line breaks in quotes, and double the quotes in it")
			continue
		}
		l := fileLine{number: number, cells: cells}
		p.countUnused(l)
		p.line(l)
	}
	for _, l := range p.lines {
		p.variant(l)
	}
	p.identify()
}

func (p *parser) header(line int, header []string) bool {
	columns := map[string]int{}
	for i, title := range header {
		name := columnOf(title)
		if _, twice := columns[name]; name != "" && !twice {
			columns[name] = i
		}
	}
	has := func(column string) bool { _, ok := columns[column]; return ok }
	p.columns = columns
	stocks := p.byLocation(header, has)
	for i, title := range header {
		used := columns[columnOf(title)] == i && has(columnOf(title)) || slices.Contains(p.places, i)
		if title = strings.TrimSpace(title); title != "" && !used {
			p.file.Unused = append(p.file.Unused, Unused{Column: title})
			p.unused = append(p.unused, i)
		}
	}
	const fix = "keep the header of Shopify's export, which names the columns"
	switch {
	case !has(colHandle) && !has(colTitle):
		p.refuse(line, colHandle, "the column is missing", fix)
	case !has(colPrice) && !has(colStock) && !stocks:
		p.refuse(line, colPrice, "the column is missing", fix)
	default:
		return true
	}
	return false
}

// byLocation tells an inventory export, and finds the columns of its locations.
func (p *parser) byLocation(header []string, has func(string) bool) bool {
	if has(colPrice) {
		return false
	}
	if has(colAvailable) || has(colOnHand) {
		return true
	}
	last := -1
	for i, title := range header {
		name := strings.ToLower(strings.TrimSpace(title))
		switch {
		case slices.Contains(inventoryColumns, name) || columnOf(title) != "":
			if name == "coo" {
				last = i
			}
		case last >= 0 && name != "":
			p.places = append(p.places, i)
		}
	}
	return p.places != nil
}

func (p *parser) isInventory() bool {
	_, priced := p.columns[colPrice]
	_, counted := p.columns[colStock]
	return !priced && !counted
}

func (p *parser) cell(l fileLine, column string) string {
	if i, ok := p.columns[column]; ok && i < len(l.cells) {
		return strings.TrimSpace(l.cells[i])
	}
	return ""
}

// line takes what a line says of its product.
func (p *parser) line(l fileLine) {
	if !slices.ContainsFunc(l.cells, func(cell string) bool { return strings.TrimSpace(cell) != "" }) {
		return
	}
	for _, column := range importColumns {
		if !utf8.ValidString(p.cell(l, column)) {
			p.file.Variants++
			p.refuse(l.number, column, "the text is not UTF-8", "save the file as CSV UTF-8, or name its encoding, as with --encoding windows-1252")
			return
		}
		if strings.ContainsRune(p.cell(l, column), 0) { // no database stores it, and it separates the parts of what tells variants apart
			p.file.Variants++
			p.refuse(l.number, column, "the text has a NUL character", "take it out")
			return
		}
	}
	title := p.cell(l, colTitle)
	if l.handle = cmp.Or(p.cell(l, colHandle), slug(title)); l.handle == "" {
		p.file.Variants++
		p.refuse(l.number, colHandle, "is empty", "give every line the handle of its product")
		return
	}
	product := p.product(l)
	if product == nil {
		product = &fileProduct{}
		p.products[strings.ToLower(l.handle)] = product
	}
	if product.title == "" && title != "" {
		product.title = title
		if _, ok := p.columns[colDescription]; ok {
			var text string
			text, product.cut = shortened(plainText(p.cell(l, colDescription)), schema.MaxDescription)
			product.description = &text
		}
		p.described(l, product)
	}
	p.picture(l, product)
	if product.offSale == nil {
		product.offSale = offSale(p.cell(l, colStatus), p.cell(l, colPublished))
	}
	p.optionsOf(l, product)
	if p.namesVariant(l) {
		product.variants++
	}
	p.lines = append(p.lines, l)
}

// product is that of a line; nil if no line before was of it.
func (p *parser) product(l fileLine) *fileProduct { return p.products[strings.ToLower(l.handle)] }

// namesVariant tells the line of a variant from one that adds a picture to its product.
func (p *parser) namesVariant(l fileLine) bool {
	return p.isInventory() || p.cell(l, colPrice) != "" || p.cell(l, colSKU) != "" || p.cell(l, colStock) != "" || len(p.values(l)) > 0
}

func (p *parser) variant(l fileLine) {
	product := p.product(l)
	if !p.namesVariant(l) {
		if product.variants > 0 {
			return
		}
		product.variants++ // of a product without variants, the first line counts
	}
	p.file.Variants++
	before := len(p.file.Problems)
	v := &fileVariant{sku: p.cell(l, colSKU), handle: l.handle, options: p.values(l)}
	v.row = commerce.ImportRow{Line: l.number, Name: product.title, Description: product.description, OffSale: product.offSale}
	var cut bool
	if v.row.Name, cut = shortened(v.row.Name, schema.MaxProductName); cut && !product.named {
		p.note(l.number, noteNameCut)
		product.named = true // said once
	}
	v.row.Options, v.row.OptionValues = p.ownOptions(l, product)
	if product.values > 0 && p.cell(l, colVariantImage) != "" {
		p.note(l.number, noteOwnImage)
	}
	if product.cut {
		p.note(l.number, noteCut)
		product.cut = false // said once
	}
	if _, ok := p.columns[colPrice]; ok {
		v.row.Price = &commerce.Money{Currency: p.format.Currency, Minor: p.price(l.number, p.cell(l, colPrice))}
	}
	v.row.Stock = p.quantity(l)
	v.row.ImportAttributes = p.imported(product, slug(l.handle))
	if len(p.file.Problems) == before {
		p.variants = append(p.variants, v)
	}
}

// values are those of the options of a line.
func (p *parser) values(l fileLine) []string {
	var options []string
	for _, column := range optionColumns {
		if value := p.cell(l, column); value != "" && value != onlyVariant {
			options = append(options, value)
		}
	}
	return options
}

// offSale tells whether a product is a draft, archived or not published; nil if the file does not say.
func offSale(status, published string) *bool {
	if status == "" && published == "" {
		return nil
	}
	off := status != "" && !strings.EqualFold(status, "active") || strings.EqualFold(published, "false")
	return &off
}
