package commerce_test

import (
	"testing"

	"holdfast/commerce"
)

// The decimals of ISO 4217, and not those that are usually shown.
func TestMinorDigits(t *testing.T) {
	for currency, want := range map[string]int{"USD": 2, "JPY": 0, "KWD": 3, "IQD": 3, "IDR": 2, "COP": 2, "PKR": 2, "CLF": 4} {
		if got := commerce.MinorDigits(currency); got != want {
			t.Errorf("%s has %d decimals, want %d", currency, got, want)
		}
	}
}
