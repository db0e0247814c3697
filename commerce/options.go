package commerce

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"holdfast/ent"
	"holdfast/ent/schema"
)

// The options of a product are what its variants differ in: a variant has a value for each, and no two variants have the same values.
// Values that differ in their case only are the same: a customer could not tell them apart.

// combination stands for option values in the database, whose indexes cannot have that much text. It is "" for none.
func combination(values []string) string {
	if len(values) == 0 {
		return ""
	}
	folded := make([]string, len(values))
	for i, value := range values {
		folded[i] = strings.ToLower(value)
	}
	sum := sha256.Sum256(mustJSON(folded))
	return hex.EncodeToString(sum[:])
}

// tidyOptions trims names or values of options. It returns nil for none.
func tidyOptions(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	tidy := make([]string, len(texts))
	for i, text := range texts {
		tidy[i] = tidyOption(text)
	}
	return tidy
}

// tidyOption trims a name or value of an option, and makes one space of several.
func tidyOption(text string) string { return strings.Join(strings.Fields(text), " ") }

func tidyVariants(variants []CreateVariant) []CreateVariant {
	if len(variants) == 0 {
		return nil
	}
	tidy := make([]CreateVariant, len(variants))
	for i, v := range variants {
		tidy[i] = v
		tidy[i].SKU, tidy[i].Options = strings.TrimSpace(v.SKU), tidyOptions(v.Options)
	}
	return tidy
}

// checkOptionNames refuses names that the options of a product cannot have. at names the field of each.
func checkOptionNames(names []string, at func(i int) []string) (errs Errors) {
	if len(names) > schema.MaxOptions {
		return Errors{invalid(input("options"), "a product has at most %d options, not %d", schema.MaxOptions, len(names))}
	}
	seen := map[string]bool{}
	for i, name := range names {
		field := at(i)
		errs = append(errs, checkTextAt(field, "the name of an option", name, 1, schema.MaxOption)...)
		if key := strings.ToLower(name); seen[key] {
			errs = append(errs, invalid(field, "another option has the name %.100q", name))
		} else {
			seen[key] = true
		}
	}
	return errs
}

// checkOptionValues refuses values that a variant of a product with so many options cannot have.
func checkOptionValues(values []string, options int, field []string) (errs Errors) {
	if len(values) != options {
		return Errors{invalid(field, "the product has %d options, so a variant has %d values, not %d", options, options, len(values))}
	}
	for i, value := range values {
		errs = append(errs, checkTextAt(append(field[:len(field):len(field)], strconv.Itoa(i)), "the value of an option", value, 1, schema.MaxOption)...)
	}
	return errs
}

// OptionValues returns the values of the options of a product, by their order: those that its variants on sale have, each once, as they
// come first.
func OptionValues(options int, variants []*ent.ProductVariant) [][]string {
	values, seen := make([][]string, options), make([]map[string]bool, options)
	for _, row := range variants {
		if row.ArchivedAt != nil {
			continue
		}
		for i, value := range row.OptionValues[:min(options, len(row.OptionValues))] {
			if seen[i] == nil {
				seen[i] = map[string]bool{}
			}
			if key := strings.ToLower(value); !seen[i][key] {
				seen[i][key], values[i] = true, append(values[i], value)
			}
		}
	}
	return values
}
