package lockprovider

import (
	"strings"

	"holdfast/lockprovider/lock"
)

// All keys are built here: the balances and the locks that guard them. The table of families says which belong to whom.

// stockPrefix begins the keys of [StockKey].
const stockPrefix = "stock:product:"

// The keys of a variant have its identifier with the prefix of a product, as the keys of a product had before a product had variants. So
// what was sold before has moved nowhere, neither in the database nor in Redis.
const (
	variantPrefix = "var_"
	productPrefix = "prod_"
)

// StockKey is the stock of a variant. The first variant of a product has the identifier of the product but for the prefix, so the
// identifier of the product makes the same key.
func StockKey(variantID string) string { return stockPrefix + variantSubject(variantID) }

// variantSubject is what keys have of a variant.
func variantSubject(variantID string) string {
	if suffix, ok := strings.CutPrefix(variantID, variantPrefix); ok {
		return productPrefix + suffix
	}
	return variantID
}

// FirstVariantID is the identifier of the first variant of a product, whose keys are [StockKey] and [BuyerKey] of the product.
func FirstVariantID(productID string) string {
	if suffix, ok := strings.CutPrefix(productID, productPrefix); ok {
		return variantPrefix + suffix
	}
	return productID
}

// VariantOf returns the variant whose stock a balance is; ok is false for any other balance.
func VariantOf(balance string) (variantID string, ok bool) {
	subject, ok := strings.CutPrefix(balance, stockPrefix)
	return FirstVariantID(subject), ok
}

// buyerPrefix begins the keys of [BuyerKey].
const buyerPrefix = "stock:buyer:"

// pendingPrefix begins the keys of [PendingKey]. It comes after those of the products: the first balance of an order decides which committer of
// groupcommit has it, and all orders of a product are to have the same.
const pendingPrefix = "stock:waiting:"

// holdsPrefix begins the keys of [HoldsKey]. It comes after those of the products, as pendingPrefix does.
const holdsPrefix = "stock:reserved:"

// Transient tells a balance that its first change may create anew in Redis when it is needed, and that most changes never need again: it is not
// put there before. There may be one for each customer, variant and period, and one for each customer.
func Transient(balance string) bool {
	return strings.HasPrefix(balance, buyerPrefix) || strings.HasPrefix(balance, pendingPrefix) || strings.HasPrefix(balance, holdsPrefix)
}

// PendingKey is how many orders of one user wait for payment.
func PendingKey(userID string) string { return pendingPrefix + userID }

// HoldsKey is how many holds of products one user has.
func HoldsKey(userID string) string { return holdsPrefix + userID }

// BuyerKey is how much of a variant one user has ordered in a period, "" if there is one period only.
func BuyerKey(variantID, userID, period string) string {
	if period != "" {
		period = ":" + period
	}
	return buyerPrefix + variantSubject(variantID) + ":" + userID + period
}

// CountOwner says of whom a balance counts what. With a variant, it counts the units that were ordered or are held, in a period, "" if there
// is one period only. Else it counts holds, or orders that wait for payment.
type CountOwner struct {
	UserID, VariantID, Period string
	Holds                     bool
}

// CountOf returns of whom a balance of [PendingKey], [HoldsKey] or [BuyerKey] counts what; ok is false for any other.
func CountOf(balance string) (owner CountOwner, ok bool) {
	if user, ok := strings.CutPrefix(balance, pendingPrefix); ok {
		return CountOwner{UserID: user}, true
	}
	if user, ok := strings.CutPrefix(balance, holdsPrefix); ok {
		return CountOwner{UserID: user, Holds: true}, true
	}
	rest, ok := strings.CutPrefix(balance, buyerPrefix)
	if parts := strings.SplitN(rest, ":", 3); ok && len(parts) > 1 { // identifiers hold no colon: commerce refuses it
		owner = CountOwner{VariantID: FirstVariantID(parts[0]), UserID: parts[1]}
		if len(parts) == 3 {
			owner.Period = parts[2]
		}
		return owner, true
	}
	return owner, false
}

// CouponKey is how much of a coupon's quota is issued.
func CouponKey(couponID string) string { return "coupon:issue:" + couponID }

// CouponUserKey is how often one user holds a coupon.
func CouponUserKey(couponID, userID string) string { return "coupon:user:" + couponID + ":" + userID }

// CouponUseKey is whether an issued coupon has been spent: 0 or 1.
func CouponUseKey(issueID string) string { return "coupon:use:" + issueID }

// PointsKey is the points of a user.
func PointsKey(userID string) string { return "points:user:" + userID }

// AccountKey is the money of an account, in minor units.
func AccountKey(accountID string) string { return "account:" + accountID }

// FamilyOf tells the family of a balance key, "" where it has none.
func FamilyOf(balance string) Family {
	info, _ := familyOf(balance)
	return info.Name
}

// lockKeys are the locks that guard the balances, sorted and without duplicates: everyone takes them in this order.
func lockKeys(balances []string) []string {
	keys := make([]string, 0, len(balances))
	for _, b := range balances {
		keys = append(keys, lockKey(b))
	}
	return lock.SortedKeys(keys)
}

func lockKey(balance string) string {
	if info, ok := familyOf(balance); ok {
		return info.LockKey(balance)
	}
	return ownLock(balance)
}

// ownLock guards one balance alone.
func ownLock(balance string) string { return "lock:" + balance }

// stockLock guards the stock of a variant together with what users have ordered of it, since both move together. How many orders of a user
// wait has a lock of its own, and how many holds a user has.
func stockLock(balance string) string {
	if id, ok := strings.CutPrefix(balance, holdsPrefix); ok {
		return "lock:holds:" + id
	}
	if id, ok := strings.CutPrefix(balance, pendingPrefix); ok {
		return "lock:pending:" + id
	}
	if id, ok := strings.CutPrefix(balance, buyerPrefix); ok {
		id, _, _ = strings.Cut(id, ":") // identifiers hold no colon: commerce refuses it
		return "lock:product:" + id
	}
	return "lock:product:" + strings.TrimPrefix(balance, stockPrefix)
}

func pointsLock(balance string) string {
	return "lock:user:" + strings.TrimPrefix(balance, "points:user:")
}

// couponLock guards the quota of a coupon together with what a user holds of the coupon, since both move together.
func couponLock(balance string) string {
	if id, ok := strings.CutPrefix(balance, "coupon:issue:"); ok {
		return "lock:coupon:" + id
	}
	if id, ok := strings.CutPrefix(balance, "coupon:user:"); ok {
		id, _, _ = strings.Cut(id, ":") // identifiers hold no colon: commerce refuses it
		return "lock:coupon:" + id
	}
	return ownLock(balance) // that an issued coupon is spent
}
