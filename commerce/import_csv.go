package commerce

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

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

// The columns that are read, by the header of Shopify's product export, with the names that its newer exports give them.
const (
	colHandle      = "Handle"
	colTitle       = "Title"
	colDescription = "Body (HTML)"
	colStatus      = "Status"
	colPublished   = "Published"
	colSKU         = "Variant SKU"
	colPrice       = "Variant Price"
	colStock       = "Variant Inventory Qty"
)

var optionColumns = []string{"Option1 Value", "Option2 Value", "Option3 Value"}

var columnAliases = map[string]string{
	"url handle": colHandle, "description": colDescription, "sku": colSKU, "price": colPrice,
	"inventory quantity": colStock, "published on online store": colPublished,
	"option1 value": optionColumns[0], "option2 value": optionColumns[1], "option3 value": optionColumns[2],
}

// onlyVariant is what Shopify calls the option of a product that has no options.
const onlyVariant = "Default Title"

// ImportRow is one variant of a file: one product here.
type ImportRow struct {
	Line        int
	SKU, Name   string
	Description string
	Price       Money
	Stock       *int64 // nil: the file does not say
	Off         bool   // not for sale: a draft, archived, or not published
}

// ReadShopifyCSV reads Shopify's product export: a line a variant, of which the first of each product also holds the title
// and the description; lines that only add a picture are passed over. It returns what can be imported and what cannot.
//
// A variant without an SKU gets one made of its product's handle and its options, which stays the same in every export.
func ReadShopifyCSV(r io.Reader, currency string) ([]ImportRow, []*LineError) {
	text := bufio.NewReader(r)
	if mark, err := text.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = text.Discard(len(mark)) // what was peeked at is there
	}
	file := csv.NewReader(text)
	file.FieldsPerRecord = -1
	p := &importParser{currency: currency, lines: map[string]int{}, products: map[string]shopifyProduct{}}
	for {
		record, err := file.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.refuse(parseLine(err), "", "not readable as CSV: "+parseReason(err),
				"nothing behind it was read; put a text with commas, quotes or line breaks in quotes, and double the quotes in it")
			break
		}
		line, _ := file.FieldPos(0)
		if p.columns == nil {
			if !p.header(line, record) {
				break
			}
			continue
		}
		p.line(line, record)
	}
	if p.columns == nil && p.refused == nil {
		p.refuse(1, "", "the file is empty", "export the products from Shopify as a CSV file")
	}
	return p.rows, p.refused
}

func parseLine(err error) int {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return at.StartLine
	}
	return 0
}

func parseReason(err error) string {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

type shopifyProduct struct {
	title, description string
	off                bool
}

type importParser struct {
	currency string
	columns  map[string]int
	lines    map[string]int // of each SKU
	products map[string]shopifyProduct
	rows     []ImportRow
	refused  []*LineError
}

func (p *importParser) refuse(line int, column, problem, fix string) {
	p.refused = append(p.refused, &LineError{Line: line, Column: column, Problem: problem, Fix: fix})
}

func (p *importParser) header(line int, record []string) bool {
	known := map[string]string{}
	for _, name := range append([]string{colHandle, colTitle, colDescription, colStatus, colPublished, colSKU, colPrice, colStock}, optionColumns...) {
		known[strings.ToLower(name)] = name
	}
	columns := map[string]int{}
	for i, name := range record {
		name = strings.ToLower(strings.TrimSpace(name))
		if name = cmp.Or(known[name], columnAliases[name]); name != "" {
			columns[name] = i
		}
	}
	for _, name := range []string{colHandle, colTitle, colPrice} {
		if _, ok := columns[name]; !ok {
			p.refuse(line, name, "the column is missing",
				"keep the header of Shopify's export, which names the columns, with commas in between")
			return false
		}
	}
	p.columns = columns
	return true
}

func (p *importParser) line(line int, record []string) {
	if !slices.ContainsFunc(record, func(field string) bool { return strings.TrimSpace(field) != "" }) {
		return
	}
	field := func(column string) string {
		if i, ok := p.columns[column]; ok && i < len(record) {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	if !slices.ContainsFunc(record, func(text string) bool { return !utf8.ValidString(text) }) {
		p.variant(line, field)
		return
	}
	p.refuse(line, "", "the text is not UTF-8", "save the file as CSV UTF-8")
}

func (p *importParser) variant(line int, field func(string) string) {
	handle := field(colHandle)
	if handle == "" {
		p.refuse(line, colHandle, "is empty", "give every line the handle of its product")
		return
	}
	product, known := p.products[handle]
	if title := field(colTitle); title != "" && !known {
		product = shopifyProduct{
			title: title, description: plainText(field(colDescription)),
			off: isOff(field(colStatus), field(colPublished)),
		}
		p.products[handle] = product
	}
	options := optionsOf(field)
	if field(colPrice) == "" && field(colSKU) == "" && len(options) == 0 && known {
		return // one more picture of the product
	}
	before := len(p.refused)
	if product.title == "" {
		p.refuse(line, colTitle, fmt.Sprintf("no line up to here gives the title of %.64q", handle),
			"give the first line of each product its title")
		p.products[handle] = shopifyProduct{title: handle} // said once
	}
	row := ImportRow{
		Line: line, SKU: cmp.Or(field(colSKU), skuOf(handle, options)), Name: product.title, Description: product.description,
		Price: Money{Currency: p.currency}, Off: product.off,
	}
	if len(options) > 0 {
		row.Name += " – " + strings.Join(options, " / ")
	}
	p.texts(row)
	row.Price.Minor = p.price(line, field(colPrice))
	row.Stock = p.stock(line, field(colStock))
	if other, twice := p.lines[row.SKU]; twice {
		p.refuse(line, colSKU, fmt.Sprintf("%.64q is the SKU of line %d as well", row.SKU, other), "give every variant an SKU of its own")
	}
	if len(p.refused) == before {
		p.lines[row.SKU] = line
		p.rows = append(p.rows, row)
	}
}

func (p *importParser) texts(row ImportRow) {
	if n := utf8.RuneCountInString(row.SKU); n > schema.MaxSKU {
		p.refuse(row.Line, colSKU, fmt.Sprintf("%.20q… has %d characters", row.SKU, n), fmt.Sprintf("use an SKU of at most %d", schema.MaxSKU))
	}
	if n := utf8.RuneCountInString(row.Name); n > schema.MaxName {
		p.refuse(row.Line, colTitle, fmt.Sprintf("the name with its options has %d characters", n), fmt.Sprintf("shorten it to at most %d", schema.MaxName))
	}
}

var pricePattern = regexp.MustCompile(`^(\d{1,13})(?:\.(\d*))?$`)

// price reads a decimal number as minor units.
func (p *importParser) price(line int, text string) int64 {
	digits := MinorDigits(p.currency)
	match := pricePattern.FindStringSubmatch(text)
	if match == nil {
		p.refuse(line, colPrice, fmt.Sprintf("%.40q is no price", text), "write digits and a decimal point, such as 1299.00")
		return 0
	}
	fraction := strings.TrimRight(match[2], "0")
	if len(fraction) > digits {
		p.refuse(line, colPrice, fmt.Sprintf("%q has more decimals than %s has", text, p.currency), fmt.Sprintf("use at most %d", digits))
		return 0
	}
	minor, err := strconv.ParseInt(match[1]+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || minor > maxPrice {
		p.refuse(line, colPrice, fmt.Sprintf("%q is too much", text), fmt.Sprintf("at most %d minor units are possible", int64(maxPrice)))
		return 0
	}
	return minor
}

func (p *importParser) stock(line int, text string) *int64 {
	if text == "" {
		return nil
	}
	stock, err := strconv.ParseInt(text, 10, 64)
	if err != nil || stock < 0 || stock > maxStock {
		p.refuse(line, colStock, fmt.Sprintf("%.40q is no stock", text),
			fmt.Sprintf("write a whole number from 0 to %d, or leave it empty to keep what there is", int64(maxStock)))
		return nil
	}
	return &stock
}

func optionsOf(field func(string) string) []string {
	var options []string
	for _, column := range optionColumns {
		if value := field(column); value != "" && value != onlyVariant {
			options = append(options, value)
		}
	}
	return options
}

func skuOf(handle string, options []string) string {
	return strings.ToLower(strings.ReplaceAll(strings.Join(append([]string{handle}, options...), "-"), " ", "-"))
}

func isOff(status, published string) bool {
	return status != "" && !strings.EqualFold(status, "active") || strings.EqualFold(published, "false")
}

// unseen are the elements whose text browsers do not show.
var unseen = map[atom.Atom]bool{
	atom.Iframe: true, atom.Noembed: true, atom.Noframes: true, atom.Script: true, atom.Style: true, atom.Template: true,
	atom.Title: true,
}

// plainText is what a reader sees of HTML, on one line. Every tag parts words. A text longer than a description may be is cut.
func plainText(source string) string {
	var text strings.Builder
	var hiding []atom.Atom // the unseen elements that are open
	tokens := html.NewTokenizer(strings.NewReader(source))
	for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() { // io.EOF: a string has no other errors
		switch kind {
		case html.TextToken:
			if len(hiding) == 0 {
				text.Write(tokens.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken: // only SVG and MathML have tags that close themselves
			if name := tagOf(tokens); unseen[name] {
				hiding = append(hiding, name)
			}
			text.WriteByte(' ')
		case html.EndTagToken:
			if last := len(hiding) - 1; last >= 0 && hiding[last] == tagOf(tokens) {
				hiding = hiding[:last]
			}
			text.WriteByte(' ')
		}
	}
	line := strings.Join(strings.Fields(text.String()), " ")
	if utf8.RuneCountInString(line) > schema.MaxDescription {
		line = truncate(line, schema.MaxDescription-1) + "…"
	}
	return line
}

func tagOf(tokens *html.Tokenizer) atom.Atom {
	name, _ := tokens.TagName()
	return atom.Lookup(name)
}
