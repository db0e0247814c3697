package shopifycsv

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"holdfast/commerce"
)

// A price is digits with a decimal mark. Either mark may part the thousands if the other one is that of the decimals.
var (
	pricePattern = regexp.MustCompile(`^(\d{1,13})(?:\.(\d*))?$`)
	thousands    = map[string]*regexp.Regexp{
		",": regexp.MustCompile(`^\d{1,3}(,\d{3})+(\.\d*)?$`),
		".": regexp.MustCompile(`^\d{1,3}(\.\d{3})+(,\d*)?$`),
	}
	decimalComma = regexp.MustCompile(`^\d+,\d{1,2}$`)
)

// ambiguous are numbers whose only mark may part thousands or decimals.
var ambiguous = regexp.MustCompile(`^[1-9]\d{0,2}[.,]\d{3}$`)

// price reads a decimal number as minor units. In a file with semicolons, the comma is the decimal mark.
func (p *parser) price(line int, text string) int64 {
	digits := commerce.MinorDigits(p.format.Currency)
	if digits != 3 && ambiguous.MatchString(text) {
		p.refuse(line, colPrice, fmt.Sprintf("%q could be thousands or decimals", text), "write it without a mark, or with two decimals")
		return 0
	}
	number := text
	switch {
	case strings.Contains(text, ",") && strings.Contains(text, "."):
		mark := ","
		if strings.LastIndex(text, ",") > strings.LastIndex(text, ".") {
			mark = "."
		}
		if thousands[mark].MatchString(text) {
			number = strings.ReplaceAll(strings.ReplaceAll(text, mark, ""), ",", ".")
		}
	case p.comma == ';' || decimalComma.MatchString(text):
		number = strings.Replace(text, ",", ".", 1)
	}
	match := pricePattern.FindStringSubmatch(number)
	if match == nil {
		p.refuse(line, colPrice, fmt.Sprintf("%.40q is no price", text), "write digits and a decimal point, such as 1299.00")
		return 0
	}
	fraction := strings.TrimRight(match[2], "0")
	if len(fraction) > digits {
		p.refuse(line, colPrice, fmt.Sprintf("%q has more decimals than %s has", text, p.format.Currency), fmt.Sprintf("use at most %d", digits))
		return 0
	}
	minor, err := strconv.ParseInt(match[1]+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || minor > commerce.MaxPrice {
		p.refuse(line, colPrice, fmt.Sprintf("%q is too much", text), fmt.Sprintf("at most %d minor units are possible", int64(commerce.MaxPrice)))
		return 0
	}
	return minor
}

// quantity is how many of a variant there are, nil if the line does not say.
func (p *parser) quantity(l fileLine) *int64 {
	if !p.isInventory() {
		quantity := p.number(l.number, colStock, p.cell(l, colStock))
		if _, tracks := p.columns[colTracker]; quantity != nil && *quantity <= 0 && tracks && p.cell(l, colTracker) == "" {
			return nil // Shopify sells what it does not track without counting it
		}
		return quantity
	}
	if p.places == nil {
		column := colOnHand
		if _, ok := p.columns[colAvailable]; ok {
			column = colAvailable
		}
		return p.number(l.number, column, p.cell(l, column))
	}
	var sum *int64
	for _, place := range p.places {
		if place < len(l.cells) {
			sum = add(sum, p.number(l.number, "", strings.TrimSpace(l.cells[place])))
		}
	}
	return sum
}

func add(sum, quantity *int64) *int64 {
	if sum == nil || quantity == nil {
		return cmp.Or(sum, quantity)
	}
	total := *sum + *quantity
	return &total
}

// Three zeros behind the point could be thousands.
var quantityPattern = regexp.MustCompile(`^(-?\d{1,15})(?:\.0{0,2})?$`)

func (p *parser) number(line int, column, text string) *int64 {
	if text == "" || strings.EqualFold(text, notStocked) {
		return nil
	}
	match := quantityPattern.FindStringSubmatch(text)
	if match != nil {
		if quantity, err := strconv.ParseInt(match[1], 10, 64); err == nil && quantity <= commerce.MaxStock {
			return &quantity
		}
	}
	p.refuse(line, column, fmt.Sprintf("%.40q is no stock", text),
		fmt.Sprintf("write a whole number up to %d, or leave it empty to keep what there is", int64(commerce.MaxStock)))
	return nil
}
