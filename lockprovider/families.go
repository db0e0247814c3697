package lockprovider

import (
	"strings"
	"time"
)

// FamilyInfo is what one family is. Configuration, schema of the API, keys and suites read it or are generated from it.
type FamilyInfo struct {
	Name Family
	// Description is one sentence, for the schema of the API.
	Description string
	// Prefixes begin the keys of the family's balances. None of them begins a prefix of another family.
	Prefixes []string
	// LockKey returns the key of the lock that guards a balance. Balances that always move together share one.
	LockKey func(balance string) string
	// TestKey returns the key of a balance with an identifier, for suites. The key ends with a colon and the identifier.
	TestKey func(id string) string
	// Defaults are the family's own defaults in the configuration.
	Defaults FamilyDefaults
}

// FamilyDefaults are those defaults in the configuration that differ from family to family.
type FamilyDefaults struct {
	Strategy Strategy
	// Wait is the longest time to wait for a lock; see [Settings].
	Wait time.Duration
	// Lease is how long a lock in Redis lives without renewal; see [Settings].
	Lease time.Duration
}

// FamilyTable is all families, in display order.
var FamilyTable = []FamilyInfo{
	{
		Name: Stock, Description: "Stock of products.",
		Prefixes: []string{"stock:"}, LockKey: stockLock, TestKey: StockKey,
		Defaults: FamilyDefaults{Strategy: PubSub, Wait: 5 * time.Second, Lease: 3 * time.Second},
	},
	{
		Name:        Coupons,
		Description: "Quotas of coupons, what a customer holds of them, and whether an issued coupon is spent.",
		Prefixes:    []string{"coupon:"}, LockKey: couponLock, TestKey: CouponKey,
		Defaults: FamilyDefaults{Strategy: PubSub, Wait: 5 * time.Second, Lease: time.Second},
	},
	{
		Name: Points, Description: "Points in wallets.",
		Prefixes: []string{"points:"}, LockKey: pointsLock, TestKey: PointsKey,
		Defaults: FamilyDefaults{Strategy: Redsync, Wait: 5 * time.Second, Lease: 10 * time.Second},
	},
	{
		Name: Accounts, Description: "Money in accounts.",
		Prefixes: []string{"account:"}, LockKey: ownLock, TestKey: AccountKey,
		Defaults: FamilyDefaults{Strategy: Redsync, Wait: 2 * time.Second, Lease: 3 * time.Second},
	},
}

// Families are the names of all families, in display order.
var Families = familyNames()

func familyNames() []Family {
	names := make([]Family, len(FamilyTable))
	for i, info := range FamilyTable {
		names[i] = info.Name
	}
	return names
}

// LookupFamily returns the row of a family in the table, and whether there is one.
func LookupFamily(name Family) (FamilyInfo, bool) {
	for _, info := range FamilyTable {
		if info.Name == name {
			return info, true
		}
	}
	return FamilyInfo{}, false
}

// familyOf returns the row of the family that a balance belongs to, and whether there is one.
func familyOf(balance string) (FamilyInfo, bool) {
	for _, info := range FamilyTable {
		for _, prefix := range info.Prefixes {
			if strings.HasPrefix(balance, prefix) {
				return info, true
			}
		}
	}
	return FamilyInfo{}, false
}
