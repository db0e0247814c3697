package graph

import (
	"holdfast/commerce"
	"holdfast/graph/generated"
	"holdfast/graph/model"
)

// These are estimated lengths of lists that have no page size.
const (
	usualLines    = 5
	usualAccounts = 5
	usualIssues   = 20
	// Experiments are in memory, so their fields are cheap.
	usualRuns, usualExperiments = 20, 5
	// search is the cost of a search besides its page: it may read many rows to find one.
	search = 500
	// lookup is the cost of a field that queries the database for one object.
	lookup = 5
)

// complexities returns functions that estimate the number of fields of a response. A list costs its
// length times the cost of an element. Any other field costs 1.
func complexities() generated.ComplexityRoot {
	var c generated.ComplexityRoot
	c.Query.Products = func(child int, first *int, _ *string, filter *model.ProductFilter, _ *model.ProductOrder) int {
		if filter != nil && orZero(filter.Search) != "" {
			return pageCost(child, first) + search
		}
		return pageCost(child, first)
	}
	c.Query.Coupons = pageOnly
	c.Query.UnsettledOrders = pageCost
	c.Query.Adjustments = pageOnly
	c.Customer.Orders = pageOnly
	c.Wallet.Entries = pageOnly
	c.Account.Entries = pageOnly
	c.Customer.Accounts = times(usualAccounts)
	c.Customer.CouponIssues = times(usualIssues)
	c.Order.Lines = times(usualLines)
	c.Order.CouponIssue = func(child int) int { return child + lookup }
	c.Mutation.ProductsImport = func(child int, input model.ProductsImportInput) int { return times(len(input.Products))(child) }
	c.Subscription.StockChanged = func(child int, _ []string) int { return child + lookup }
	c.Subscription.OrderUpdated = func(child int, _ string) int { return child + lookup }
	c.Subscription.QueueTicketUpdated = func(child int, _ string) int { return child + lookup }
	c.ExperimentReport.Runs = times(usualRuns)
	c.ExperimentReport.Cases = times(usualRuns)
	c.Query.Experiments = times(usualExperiments)
	c.PlaceOrderPayload.Products = times(usualLines)
	c.PayOrderPayload.Products = times(usualLines)
	c.CancelOrderPayload.Products = times(usualLines)
	return c
}

// maxCost bounds what a list multiplies, so that the cost of an operation does not overflow an int.
const maxCost = 1 << 30

func pageOnly(child int, first *int, _ *string) int { return pageCost(child, first) }

func pageCost(child int, first *int) int {
	n := defaultPage
	if first != nil {
		n = min(max(*first, 1), commerce.MaxPage) // commerce refuses other sizes later; they must not be cheap until then
	}
	return times(n)(child)
}

func times(n int) func(child int) int {
	return func(child int) int { return n * (min(child, maxCost) + 1) }
}
