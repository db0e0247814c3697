package stripe

import (
	"fmt"
	"slices"

	"holdfast/payments"
)

// Stripe counts in minor units of ISO 4217, such as whole JPY, but for these: https://docs.stripe.com/currencies.
var (
	// threeDecimal are taken in multiples of ten.
	threeDecimal = []string{"BHD", "JOD", "KWD", "OMR", "TND"}
	// hundredfold have no decimals by ISO 4217, and two at Stripe, which must be 00.
	hundredfold = []string{"ISK"}
	// notTaken are those that Stripe does not take, or that it counts in another unit than ISO 4217 (MGA), or of which its pages say two
	// things (UGX): better no payment than one of a hundredfold amount.
	notTaken = []string{"CLF", "IQD", "LYD", "MGA", "UGX", "UYI", "UYW"}
)

// Takes returns why Stripe does not take payments in a currency, or nil.
func Takes(currency string) error {
	if slices.Contains(notTaken, currency) {
		return fmt.Errorf("payments in %s cannot be taken by Stripe", currency)
	}
	return nil
}

// Step implements payments.Stepped.
func (g *Gateway) Step(currency string) int64 { return stepOf(currency) }

// stepOf returns what each amount of a currency must be a multiple of.
func stepOf(currency string) int64 {
	if slices.Contains(threeDecimal, currency) {
		return 10
	}
	return 1
}

// toStripe returns an amount in the units of Stripe.
func toStripe(a payments.Amount) (int64, error) {
	if err := Takes(a.Currency); err != nil {
		return 0, err
	}
	switch {
	case a.Minor%stepOf(a.Currency) != 0:
		return 0, fmt.Errorf("amounts in %s must be multiples of 10 minor units for Stripe, and %d is none", a.Currency, a.Minor)
	case slices.Contains(hundredfold, a.Currency):
		return a.Minor * 100, nil
	}
	return a.Minor, nil
}

// fromStripe returns the minor units by ISO 4217 of an amount in the units of Stripe.
func fromStripe(amount int64, currency string) int64 {
	if slices.Contains(hundredfold, currency) {
		return amount / 100
	}
	return amount
}
