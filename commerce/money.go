package commerce

import (
	"regexp"

	"holdfast/lockprovider"
)

// Money is an amount in minor units of a currency (ISO 4217).
type Money struct {
	Minor    int64
	Currency string
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

// unbounded are the bounds of a balance that must not be overdrawn and may grow as far as numbers are exact.
func unbounded(opening int64) lockprovider.Bounds {
	return lockprovider.Bounds{Opening: opening, Floor: 0, Ceiling: lockprovider.MaxAmount}
}

// positive refuses what is no amount to move.
func positive(amount int64, field []string) error {
	if amount < 1 || amount > lockprovider.MaxAmount {
		return invalid(field, "amount must be 1 to %d, not %d", int64(lockprovider.MaxAmount), amount)
	}
	return nil
}
