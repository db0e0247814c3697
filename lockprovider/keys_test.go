package lockprovider

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key, lock string
		family    Family
	}{
		{StockKey("p1"), "lock:product:p1", Stock},
		{BuyerKey("p1", "u1", ""), "lock:product:p1", Stock}, // moves together with the stock
		{BuyerKey("p1", "u1", "24h7"), "lock:product:p1", Stock},
		{PendingKey("u1"), "lock:pending:u1", Stock},
		{HoldsKey("u1"), "lock:holds:u1", Stock},
		{CouponKey("c1"), "lock:coupon:c1", Coupons},
		{CouponUserKey("c1", "u1"), "lock:coupon:c1", Coupons}, // moves together with the quota
		{CouponUseKey("i1"), "lock:coupon:use:i1", Coupons},
		{PointsKey("u1"), "lock:user:u1", Points},
		{AccountKey("a1"), "lock:account:a1", Accounts},
	} {
		if got := FamilyOf(test.key); got != test.family {
			t.Errorf("FamilyOf(%q) = %q, want %q", test.key, got, test.family)
		}
		if got := lockKey(test.key); got != test.lock {
			t.Errorf("lockKey(%q) = %q, want %q", test.key, got, test.lock)
		}
	}
	for _, key := range []string{"", "stock", "ghost:1", "STOCK:product:1", ":stock:product:1"} {
		if got := FamilyOf(key); got != "" && key != "stock" {
			t.Errorf("FamilyOf(%q) = %q, want none", key, got)
		}
	}
}

func TestLockKeysProperties(t *testing.T) {
	t.Parallel()
	id := rapid.StringMatching(`[a-c]{1,2}`)
	balance := rapid.Custom(func(t *rapid.T) string {
		one, other := id.Draw(t, "id"), id.Draw(t, "other")
		return rapid.SampledFrom([]string{
			StockKey(one), BuyerKey(one, other, ""), PendingKey(one), HoldsKey(one), CouponKey(one), CouponUserKey(one, other), CouponUseKey(one), PointsKey(one), AccountKey(one),
		}).Draw(t, "balance")
	})
	rapid.Check(t, func(t *rapid.T) {
		balances := rapid.SliceOf(balance).Draw(t, "balances")
		keys := lockKeys(balances)
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Fatalf("locks %q are not sorted and unique", keys)
		}
		for _, b := range balances { // nothing is left unguarded
			if !slices.Contains(keys, lockKey(b)) {
				t.Fatalf("no lock of %q in %q", b, keys)
			}
		}
		for _, k := range keys { // and nobody is kept out without need
			if !slices.ContainsFunc(balances, func(b string) bool { return lockKey(b) == k }) {
				t.Fatalf("lock %q guards none of %q", k, balances)
			}
		}
		if again := lockKeys(rapid.Permutation(balances).Draw(t, "shuffled")); !slices.Equal(again, keys) {
			t.Fatalf("another order of the balances locks %q instead of %q", again, keys)
		}
	})
}

// TestOneCommitterForEachProduct: all orders of a product are in the groups of one committer, whoever places them and whatever else they count.
func TestOneCommitterForEachProduct(t *testing.T) {
	t.Parallel()
	p := &groupcommit{seed: maphash.MakeSeed(), committers: []*committer{{}, {}, {}, {}}}
	for product := range 8 {
		stock := StockKey(fmt.Sprintf("prod_%d", product))
		for customer := range 32 {
			c, err := normalize(Change{
				ID: uuid.New(), Family: Stock, Record: Record{Kind: "test", Payload: json.RawMessage("{}")},
				Moves: []Move{
					{Balance: PendingKey(fmt.Sprintf("%c%d", 'A'+customer, customer)), Delta: 1},
					{Balance: HoldsKey(fmt.Sprintf("%c%d", 'A'+customer, customer)), Delta: 1},
					{Balance: stock, Delta: -1},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if p.committerOf(c) != p.committerOf(Change{Moves: []Move{{Balance: stock}}}) {
				t.Fatalf("the customer %d has another committer of %s", customer, stock)
			}
		}
	}
}
