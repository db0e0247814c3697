package lockprovider_test

import (
	"testing"

	"holdfast/lockprovider"
	"holdfast/lockprovider/providertest"
)

// headline runs a case with every strategy but the control, on what `go run .` uses.
func headline(t *testing.T, run func(testing.TB, *providertest.Harness)) {
	t.Helper()
	env := openEnv(t, "sqlite+embedded", "sqlite://:memory:", embedded)
	for _, v := range providertest.Variants() {
		traits := providertest.TraitsOf(v)
		if info, _ := lockprovider.Lookup(v.Strategy); info.Control || !info.Needs.Allow(env.Dialect) {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			run(t, &providertest.Harness{Env: env, Variant: v, Traits: traits})
		})
	}
}

func TestHeadline100TransfersOf1(t *testing.T) { headline(t, providertest.Transfers100Of1) }

func TestHeadline15UsersForACouponOf10(t *testing.T) { headline(t, providertest.Users15ForACouponOf10) }

func TestHeadline10ChargesOf1000(t *testing.T) { headline(t, providertest.Charges10Of1000) }

func TestHeadlineTwoOrdersTwoProductsOppositeOrder(t *testing.T) {
	headline(t, providertest.TwoOrdersTwoProducts)
}

func TestHeadlineStock100With400Buyers(t *testing.T) { headline(t, providertest.Stock100With400Buyers) }
