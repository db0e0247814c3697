package claims

import (
	"maps"
	"slices"
)

// Listed tells whether a code is known.
func Listed(code string) bool {
	_, known := byCode[code]
	return known
}

// Codes are all codes that are known.
func Codes() []string { return slices.Sorted(maps.Keys(byCode)) }
