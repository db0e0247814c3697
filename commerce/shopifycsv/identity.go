package shopifycsv

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/commerce"
	"holdfast/ent/schema"
)

// checksumLen is how many characters of a checksum tell two variants apart: 40 bits, so that of 100,000 variants that need one, two
// have the same in one file of 200.
const checksumLen = 8

// identify gives each variant an SKU that no other variant of the file has. It goes by what the variants are, and not by the order
// of their lines, so that the next file gives each the same.
func (p *parser) identify() {
	p.variants = p.apart(slices.DeleteFunc(p.merged(), p.outOfBounds))
	bySKU, bySlug, byBoth := map[string]int{}, map[string]int{}, map[string]int{}
	for _, v := range p.variants {
		bySKU[v.sku]++
		bySlug[v.slug()]++
		byBoth[v.both()]++
	}
	for _, v := range p.variants {
		switch {
		case v.sku == "" && bySlug[v.slug()] == 1 && bySKU[v.slug()] == 0:
			v.row.SKU, v.row.FormerSKUs = v.slug(), []string{v.distinct(v.slug())}
		case v.sku == "":
			v.row.SKU, v.row.FormerSKUs = v.distinct(v.slug()), []string{v.slug()}
		case bySKU[v.sku] == 1:
			v.row.SKU = v.sku
			v.row.FormerSKUs = []string{v.both(), v.distinct(v.sku), v.slug(), v.distinct(v.slug())}
		default:
			p.note(v.row.Line, noteShared)
			v.row.SKU = v.distinct(v.sku)
			if byBoth[v.both()] == 1 && bySKU[v.both()] == 0 {
				v.row.SKU = v.both()
			}
			v.row.FormerSKUs = []string{v.sku, v.both(), v.distinct(v.sku), v.slug(), v.distinct(v.slug())}
		}
		if utf8.RuneCountInString(v.row.SKU) > schema.MaxSKU {
			p.note(v.row.Line, noteLongSKU)
		}
		v.row.SKU = fitting(v.row.SKU)
		for i, sku := range v.row.FormerSKUs {
			v.row.FormerSKUs[i] = fitting(sku)
		}
	}
	p.claim()
	lines := map[string]int{}
	for _, v := range p.variants {
		if other, twice := lines[v.row.SKU]; twice { // such as "a-b" with "c" and "a" with "b-c"
			p.refuse(v.row.Line, colSKU, fmt.Sprintf("it comes to the same SKU as line %d: %.80q", other, v.row.SKU), "give each variant an SKU of its own")
			continue
		}
		lines[v.row.SKU] = v.row.Line
		p.file.Rows = append(p.file.Rows, v.row)
	}
	p.file.Rows = grouped(p.file.Rows)
}

// claim leaves each former SKU to one variant: to none if a variant has it now, else to the first of those that have the same name.
func (p *parser) claim() {
	taken := map[string]bool{}
	for _, v := range p.variants {
		taken[v.row.SKU] = true
	}
	claimed := map[[2]string]bool{}
	sorted := slices.SortedFunc(slices.Values(p.variants), func(a, b *fileVariant) int {
		return cmp.Or(cmp.Compare(a.slug(), b.slug()), cmp.Compare(a.row.SKU, b.row.SKU))
	})
	for _, v := range sorted {
		var former []string
		for _, sku := range v.row.FormerSKUs {
			claim := [2]string{sku, v.row.NameAlone()}
			if !taken[sku] && !claimed[claim] && !slices.Contains(former, sku) {
				former = append(former, sku)
			}
		}
		for _, sku := range former {
			claimed[[2]string{sku, v.row.NameAlone()}] = true
		}
		v.row.FormerSKUs = former
	}
}

// merged are the variants, each once. Lines of an inventory export add up; other lines of one variant have to say the same.
func (p *parser) merged() []*fileVariant {
	first := map[string]*fileVariant{}
	var variants []*fileVariant
	for _, v := range p.variants {
		other := first[v.key()]
		switch {
		case other == nil:
			first[v.key()] = v
			variants = append(variants, v)
		case p.isInventory():
			other.row.Stock = add(other.row.Stock, v.row.Stock)
		case v.says(other):
			p.note(v.row.Line, noteRepeated)
		default:
			p.refuse(v.row.Line, colSKU, fmt.Sprintf("the same variant as in line %d, with another price or quantity", other.row.Line),
				"leave one of the two lines, or give each variant an SKU or options of its own")
		}
	}
	return variants
}

// outOfBounds completes the quantity, and tells whether it is too large.
func (p *parser) outOfBounds(v *fileVariant) bool {
	switch stock := v.row.Stock; {
	case stock == nil && p.isInventory():
	case stock == nil:
		v.row.Stock = p.format.Stock
		if v.row.Stock == nil {
			p.note(v.row.Line, noteUntracked)
		}
	case *stock < 0:
		p.note(v.row.Line, noteNegative)
		v.row.Stock = new(int64)
	case *stock > commerce.MaxStock:
		p.refuse(v.row.Line, colStock, "the quantities of all locations add up to too much", "import a smaller quantity")
		return true
	}
	return false
}

// key tells variants of a file apart.
func (v *fileVariant) key() string {
	return strings.Join(append([]string{v.sku, v.handle}, v.options...), "\x00")
}

// says reports whether another line says the same of the variant.
func (v *fileVariant) says(other *fileVariant) bool {
	return equal(v.row.Price, other.row.Price) && equal(v.row.Stock, other.row.Stock)
}

// equal compares what is pointed at.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// slug is the SKU of a variant without one, as long as no other comes to the same.
func (v *fileVariant) slug() string { return slug(append([]string{v.handle}, v.options...)...) }

// both is the SKU of a variant whose own SKU others have, too.
func (v *fileVariant) both() string { return v.sku + "-" + v.slug() }

// distinct is an SKU with a checksum of what the variant is.
func (v *fileVariant) distinct(sku string) string { return sku + "-" + v.checksum() }

// checksum is that of handle and options, which an SKU may be added to later.
func (v *fileVariant) checksum() string {
	return checksum(strings.Join(append([]string{v.handle}, v.options...), "\x00"))
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return commerce.IDEncoding.EncodeToString(sum[:])[:checksumLen]
}

// fitting is an SKU of which a checksum replaces what is too long.
func fitting(sku string) string {
	if utf8.RuneCountInString(sku) <= schema.MaxSKU {
		return sku
	}
	return commerce.Truncate(sku, schema.MaxSKU-checksumLen-1) + "-" + checksum(sku)
}

func slug(parts ...string) string {
	return strings.ToLower(strings.ReplaceAll(strings.Join(parts, "-"), " ", "-"))
}
