package lockprovider

import (
	"strings"

	"holdfast/lockprovider/lock"
)

// All keys are built here: the balances, the locks that guard them, and the family each belongs to.

// StockKey is the stock of a product.
func StockKey(productID string) string { return "stock:product:" + productID }

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
	switch kind, _, _ := strings.Cut(balance, ":"); kind {
	case "stock":
		return Stock
	case "coupon":
		return Coupons
	case "points":
		return Points
	case "account":
		return Accounts
	}
	return ""
}

// lockKeys are the locks that guard the balances, sorted and without duplicates: everyone takes them in this order.
// What a user holds of a coupon is guarded by the coupon's lock, since both move together.
func lockKeys(balances []string) []string {
	keys := make([]string, 0, len(balances))
	for _, b := range balances {
		keys = append(keys, lockKey(b))
	}
	return lock.SortedKeys(keys)
}

func lockKey(balance string) string {
	if id, ok := strings.CutPrefix(balance, "stock:product:"); ok {
		return "lock:product:" + id
	}
	if id, ok := strings.CutPrefix(balance, "coupon:issue:"); ok {
		return "lock:coupon:" + id
	}
	if id, ok := strings.CutPrefix(balance, "coupon:user:"); ok {
		id, _, _ = strings.Cut(id, ":") // identifiers hold no colon: commerce refuses it
		return "lock:coupon:" + id
	}
	if id, ok := strings.CutPrefix(balance, "points:user:"); ok {
		return "lock:user:" + id
	}
	return "lock:" + balance // account:{id}, coupon:use:{issue}
}
