package commerce

import (
	"regexp"
	"strconv"
	"strings"

	"holdfast/lockprovider"
)

// Money is an amount in minor units of a currency (ISO 4217).
type Money struct {
	Minor    int64
	Currency string
}

// String is the amount as ISO 4217 writes it: 12.50 USD, 1250 JPY.
func (m Money) String() string { return m.Decimal() + " " + m.Currency }

// Decimal is the amount in the currency itself, with as many decimals as the currency has: 12.50 in USD, 1250 in JPY.
func (m Money) Decimal() string {
	digits := MinorDigits(m.Currency)
	minor := strconv.FormatInt(m.Minor, 10)
	sign := ""
	if m.Minor < 0 {
		sign, minor = "-", minor[1:]
	}
	if digits > 0 {
		minor = strings.Repeat("0", max(0, digits+1-len(minor))) + minor
		minor = minor[:len(minor)-digits] + "." + minor[len(minor)-digits:]
	}
	return sign + minor
}

// MinorDigits is how many decimals a currency has, by ISO 4217: 2 for USD, whose minor unit is the cent. Whoever shows an amount
// to people, or reads one, goes by it. golang.org/x/text/currency does not serve here, nor does a browser: both have the decimals
// that CLDR shows people, which are 0 for HUF, IDR, COP or PKR, where ISO 4217 and payment gateways count in hundredths.
func MinorDigits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	default:
		return 2
	}
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

// LineTotal is what a quantity of a product costs, in the unit of its price. The sum of an order is bounded by MaxPrice × MaxQuantity ×
// MaxLines, see config.
func LineTotal(price, quantity int64) int64 { return price * quantity }
