package commerce

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"holdfast/commerce/textsearch"
	"holdfast/ent"
	"holdfast/ent/schema"
)

// A term is among the words of a search document, and says that a product is in a category, or has a vendor, a type or a tag. No text has
// it among its words, and no term begins another one: so who searches for words that begin with a term finds the products that have it.

// termMark begins each term. It is no part of a word.
const termMark = "#"

func categoryTerm(id string) string { return termMark + "c" + id + termMark }

func vendorTerm(vendor string) string { return termMark + "v" + termSum(vendor) }

func typeTerm(productType string) string { return termMark + "p" + termSum(productType) }

func tagTerm(tag string) string { return termMark + "t" + termSum(tag) }

// termBytes is how many bytes of a checksum stand for a text. Chosen: among 1,000,000 texts, two of one checksum are as likely as 1 in
// 2,000,000,000,000. Who finds a product by another text is not shown it: see selects.
const termBytes = 10

func termSum(text string) string {
	sum := sha256.Sum256([]byte(foldCase(text)))
	return IDEncoding.EncodeToString(sum[:termBytes])
}

// alike reports whether a text is the one that is wanted, whatever the case. Nothing wants any.
func alike(wanted, text string) bool {
	return strings.TrimSpace(wanted) == "" || foldCase(strings.TrimSpace(wanted)) == foldCase(text)
}

// byTerms reports whether only the index knows what is in the filter.
func (f ProductFilter) byTerms() bool { return f.CategoryID != "" || f.terms() != nil }

// terms returns the terms that a product needs; a category is none of them, see categoryTerms.
func (f ProductFilter) terms() []string {
	var terms []string
	for _, wanted := range []struct {
		text string
		term func(string) string
	}{{f.Vendor, vendorTerm}, {f.ProductType, typeTerm}, {f.Tag, tagTerm}} {
		if text := strings.TrimSpace(wanted.text); text != "" {
			terms = append(terms, wanted.term(text))
		}
	}
	return terms
}

func (f ProductFilter) checkTexts() error {
	var errs Errors
	for _, text := range []struct {
		field, text string
		atMost      int
	}{{"vendor", f.Vendor, schema.MaxVendor}, {"productType", f.ProductType, schema.MaxProductType}, {"tag", f.Tag, schema.MaxTag}} {
		for _, e := range checkText(text.field, strings.TrimSpace(text.text), 0, text.atMost) {
			e.Field = []string{"filter", text.field}
			errs = append(errs, e)
		}
	}
	if errs != nil {
		return errs
	}
	return nil
}

// categoryTerms returns the terms of a category and of those beneath it, of which a product needs one; nil if no category is wanted. A
// category that does not exist has none.
func (s *Catalog) categoryTerms(ctx context.Context, id string) ([]string, error) {
	if id == "" {
		return nil, nil
	}
	tree, err := s.Categories(ctx)
	if err != nil {
		return nil, err
	}
	terms := []string{}
	for _, within := range tree.within(id) {
		terms = append(terms, categoryTerm(within))
	}
	return terms, nil
}

// wordsOf returns the words of the search documents of products, with their terms.
func (s *Catalog) wordsOf(ctx context.Context, tx *ent.Tx, rows []*ent.Product, variants map[string][]*ent.ProductVariant) ([]string, error) {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	memberships, err := s.memberships(ctx, tx.ProductCategory, ids)
	if err != nil {
		return nil, err
	}
	terms := map[string][]string{}
	for _, m := range memberships {
		terms[m.ProductID] = append(terms[m.ProductID], categoryTerm(m.CategoryID))
	}
	words := make([]string, len(rows))
	for i, row := range rows {
		words[i] = joinWords(slices.Concat(textWords(row, variants[row.ID]), terms[row.ID], textTerms(row)))
	}
	return words, nil
}

// textWords returns the words that a product is found by.
func textWords(row *ent.Product, variants []*ent.ProductVariant) []string {
	texts := append([]string{searchText(row, variants), row.Vendor, row.ProductType}, row.Tags...)
	return textsearch.Words(strings.Join(texts, "\n"))
}

func textTerms(row *ent.Product) []string {
	var terms []string
	if row.Vendor != "" {
		terms = append(terms, vendorTerm(row.Vendor))
	}
	if row.ProductType != "" {
		terms = append(terms, typeTerm(row.ProductType))
	}
	for _, tag := range row.Tags {
		terms = append(terms, tagTerm(tag))
	}
	return terms
}

// joinWords is the column words of a search document.
func joinWords(words []string) string {
	var text strings.Builder
	for _, word := range words {
		text.WriteByte(' ')
		text.WriteString(word)
	}
	return text.String()
}
