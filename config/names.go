package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/config/setting"
)

// fieldsOf lists the keys of a configuration by their full names, such as "locks.stock.wait".
func fieldsOf(c *Config) map[string]setting.Field {
	fields := map[string]setting.Field{}
	setting.Fields(c, func(f setting.Field) {
		if !f.Hidden {
			fields[f.Key] = f
		}
	})
	return fields
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// keysBelow are the keys, or sections, right below a section.
func keysBelow(fields map[string]setting.Field, section string) []string {
	var below []string
	for _, key := range sortedKeys(fields) {
		if rest, found := strings.CutPrefix(key, section+"."); found {
			name, _, _ := strings.Cut(rest, ".")
			below = append(below, name)
		}
	}
	return slices.Compact(below)
}

// suggest names the known word that is closest to a wrong one, where one is close.
func suggest(word string, known []string) string {
	best, distance := "", len(word)/3+1 // a third of the letters wrong is still a typing error
	for _, candidate := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance is Levenshtein's: the letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
