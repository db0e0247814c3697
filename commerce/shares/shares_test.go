package shares_test

import (
	"math/rand/v2"
	"testing"

	"holdfast/commerce/shares"
)

// largest is the largest total of an order.
const largest = 1<<53 - 1

func TestSplit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		weights, sum := make([]int64, 1+random.IntN(12)), int64(0)
		most := int64(1) << random.IntN(45)
		for i := range weights {
			weights[i] = random.Int64N(most + 1)
			sum += weights[i]
		}
		total := random.Int64N(sum + 1)
		got := int64(0)
		for i, part := range shares.Split(total, weights) {
			got += part
			if share := float64(total) * float64(weights[i]) / float64(max(sum, 1)); float64(part) < share-1.001 || float64(part) > share+1.001 || part > weights[i] {
				t.Fatalf("%d of %d for %d of %d", part, total, weights[i], sum)
			}
		}
		if got != total {
			t.Fatalf("%d is split by %v into %d", total, weights, got)
		}
		quantity, back := 1+random.Int64N(1000), int64(0)
		for before := int64(0); before < quantity; {
			n := 1 + random.Int64N(quantity-before)
			worth := shares.Worth(total, quantity, before, n)
			if worth < 0 {
				t.Fatalf("%d units of %d are worth %d", n, quantity, worth)
			}
			before, back = before+n, back+worth
		}
		if back != total {
			t.Fatalf("%d units of %d are worth %d together", quantity, total, back)
		}
	}
	if got := shares.Split(largest, []int64{largest, 0}); got[0] != largest {
		t.Errorf("the largest total is split into %v", got)
	}
	if got := shares.Split(100, []int64{100, 100, 100}); got[0] != 34 || got[1] != 33 || got[2] != 33 {
		t.Errorf("100 for three equal lines: %v", got)
	}
}
