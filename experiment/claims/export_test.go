package claims

// Listed tells whether a code is known.
func Listed(code string) bool {
	_, known := byCode[code]
	return known
}
