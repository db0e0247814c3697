package graph

import (
	"reflect"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/ent/schema"
	"holdfast/experiment"
	"holdfast/graph/generated"
	"holdfast/graph/model"
	"holdfast/graph/scalar"
	"holdfast/lockprovider"
)

// These are the most elements of lists that nothing else bounds. What is longer is cut off; see atMost.
const (
	// maxUserErrors is above what an order can have wrong that is not the same in all of its lines.
	maxUserErrors = 25
	// maxOtherBalances is above how many balances an operation moves besides the stock of an order's lines.
	maxOtherBalances = 5
	// maxMoreErrors is how many errors an import tells besides the first one of each row; the next import tells the others.
	maxMoreErrors = 25
	// maxFieldPath is the depth of the deepest input: input.products.0.images.0.url.
	maxFieldPath = 6
	maxRuns      = 100 // of jobs: the last ten of each
	maxCounts    = 20  // of one run of a job
	maxDrifts    = 200
	maxWaiting   = 100 // for one lock
	maxFindings  = 10  // of one run of an experiment
	maxNames     = 50  // of an experiment's workloads, or strategies
	maxSentences = 100 // of an experiment's conclusion
)

const (
	// search is the cost of a search or a filter besides its page: it may read many rows to find one.
	search = 500
	// scan is the cost of the filter available besides its page. An instance that has just started has no search index yet: it asks the
	// database, and where most products are sold out, the list is read to its end. Four such lists fit into the default limit.
	scan = 2000
	// journalFilter is the cost of a filter of a journal besides its page. It is far less than search, because a journal is that of
	// one balance, and the journals of a page of accounts or products are filtered together.
	journalFilter = 50
	// counted is the cost of counting a list, which is counted up to commerce.MaxCount. It is a part of the list's field, and not of
	// totalCount, which is within what the size of the page multiplies. A function is not told what is selected, so a list that could
	// be counted costs as much if it is not.
	counted = 100
	// lookup is the cost of a field that queries the database for one object.
	lookup = 5
	// ranged is the cost of a field that reads all variants of a product, of which there are commerce.MaxVariants at most.
	ranged = 20
	// located is the cost of an identifier of any object: the strategies that decide in Redis are asked there for each object that
	// the database does not have.
	located = 20
)

// listBounds returns the most elements of each list that has no page size, by its type and field. "*" stands for all types.
func listBounds(shop commerce.ShopSettings) map[string]int {
	return map[string]int{
		"*.userErrors": maxUserErrors,
		"*.field":      maxFieldPath,

		"Order.lines":                  shop.MaxLines,
		"Order.paymentAttempts":        commerce.MaxAttempts,
		"Order.refunds":                commerce.MaxRefunds,
		"Refund.lines":                 shop.MaxLines,
		"RefundCreatePayload.products": shop.MaxLines,
		"ReturnCreatePayload.products": shop.MaxLines,
		"PlaceOrderPayload.products":   shop.MaxLines,
		"PayOrderPayload.products":     shop.MaxLines,
		"CancelOrderPayload.products":  shop.MaxLines,
		"OperationMeta.positions":      shop.MaxLines + maxOtherBalances,

		"Product.options":                schema.MaxOptions,
		"ProductOption.values":           commerce.MaxVariants,
		"ProductVariant.selectedOptions": schema.MaxOptions,

		"Cart.lines":                   shop.MaxLines,
		"CartCheckoutPayload.products": shop.MaxLines,
		"Hold.lines":                   shop.MaxLines,

		"Product.tags":       schema.MaxTags,
		"Product.images":     schema.MaxImages,
		"Product.categories": schema.MaxProductCategories,
		"Category.ancestors": schema.MaxCategoryDepth - 1,

		"Customer.addresses": shop.MaxAddresses,
		"Address.lines":      schema.MaxAddressLines,

		"Shop.paymentMethods":      len(model.AllPaymentMethod),
		"PaymentMethodError.taken": len(model.AllPaymentMethod),

		"Query.strategies":    len(lockprovider.Families),
		"Query.schedulerRuns": maxRuns,
		"SchedulerRun.result": maxCounts,
		"HeldLock.waiting":    maxWaiting,

		"Query.experiments":           experiment.MaxTrials,
		"Experiment.workloads":        maxNames,
		"Experiment.strategies":       maxNames,
		"ExperimentReport.runs":       experiment.MaxRuns,
		"ExperimentReport.cases":      experiment.MaxRuns,
		"ExperimentReport.conclusion": maxSentences,
		"ExperimentRun.findings":      maxFindings,
	}
}

// lookups are the fields of objects that are looked up.
var lookups = []string{
	"Cart.customer", "Cart.order", "Hold.order", "Customer.defaultAddress", "Order.couponIssue", "Order.customer", "OrderLine.variant", "RefundLine.variant", "HoldLine.variant", "Transfer.from", "Transfer.to", "CouponIssue.order", "Payment.account", "Entry.source",
	"Product.featuredImage",
}

// complexities returns functions that give the most fields that a response may have. A list costs the most elements that it may
// have times the cost of an element. Any other field costs 1.
func complexities(shop commerce.ShopSettings) generated.ComplexityRoot {
	var c generated.ComplexityRoot
	bounds := listBounds(shop)
	for _, definition := range fullSchema().Types {
		for _, field := range definition.Fields {
			most, ok := bounds[definition.Name+"."+field.Name]
			if !ok {
				most, ok = bounds["*."+field.Name]
			}
			if ok && definition.Kind == ast.Object && field.Type.Elem != nil {
				complexityOf(&c, definition.Name, field.Name).Set(reflect.ValueOf(times(most)))
			}
		}
	}
	c.Query.Products = func(child int, first *int, _ *string, last *int, _ *string, filter *model.ProductFilter, _ *model.ProductOrder) int {
		return countedPage(child, first, last) + productFilterCost(filter)
	}
	c.Query.Coupons = countedOnly
	c.Query.Adjustments = countedOnly
	c.Customer.Orders = func(child int, first *int, _ *string, last *int, _ *string, filter *model.OrderFilter, _ *model.OrderSort) int {
		return countedPage(child, first, last) + orderFilterCost(filter)
	}
	c.Query.Orders = func(
		child int, first *int, _ *string, last *int, _ *string, _ *string, filter *model.OrderFilter, _ *model.OrderSort,
	) int {
		return countedPage(child, first, last) + orderFilterCost(filter)
	}
	c.Query.Customers = func(child int, first *int, _ *string, last *int, _ *string, filter *model.CustomerFilter, _ *model.CustomerSort) int {
		cost := countedPage(child, first, last)
		if filter != nil && isRange(filter.CreatedAt) {
			cost += search
		}
		return cost
	}
	c.Customer.CouponIssues = countedOnly
	c.Customer.Accounts = func(child int, first *int, _ *string, last *int, _ *string) int {
		return min(pageCost(child, first, last), times(shop.MaxAccounts)(child)) + counted
	}
	c.Customer.Holds = func(child int, first *int, _ *string, last *int, _ *string, _ *model.HoldStatus) int {
		return countedPage(child, first, last)
	}
	c.Category.Products = func(child int, first *int, _ *string, last *int, _ *string, _ *model.ProductOrder) int {
		return countedPage(child, first, last) + search
	}
	c.Category.Children = func(child int, first *int, _ *string, last *int, _ *string) int { return pageCost(child, first, last) }
	c.Query.Categories = func(child int, first *int, _ *string, last *int, _ *string, _ *bool) int {
		return pageCost(child, first, last) + lookup
	}
	c.Query.Category = func(child int, _, _ *string) int { return child + lookup }
	c.Wallet.Entries = entriesCost
	c.Account.Entries = entriesCost
	c.Product.StockHistory = entriesCost
	c.ProductVariant.StockHistory = entriesCost
	c.Product.Options = func(child int) int { return times(schema.MaxOptions)(child) + ranged }
	c.Product.Variants = func(child int, first *int, _ *string, last *int, _ *string, _ *bool) int {
		return pageCost(child, first, last) + ranged
	}
	c.Query.Node = func(child int, _ string) int { return child + located }
	c.CostOfEntities(func(child int, representations []*scalar.Representation) int {
		return times(len(representations))(child + located)
	})
	c.Query.Nodes = func(child int, ids []string) int { return times(len(ids))(child + located) }
	c.Query.Cart = func(child int, _ string) int { return child + lookup }
	c.Cart.CouponPreview = func(child int, _ string) int { return child + lookup }
	c.Query.UnsettledOrders = listCost
	c.Query.UnsettledPayments = listCost
	c.Query.UnsettledRefunds = listCost
	c.Query.LowStock = listCost
	c.Query.Locks = listCost
	c.Query.PopularProducts = func(child int, _, first *int) int { return listCost(child, first) }
	c.Query.PaymentDrift = func(child int, _ *bool) int { return times(commerce.MaxDrifts)(child) }
	c.Query.StockDrift = func(child int, _ *bool) int { return times(maxDrifts)(child) }
	for _, field := range lookups {
		of, name, _ := strings.Cut(field, ".")
		complexityOf(&c, of, name).Set(reflect.ValueOf(func(child int) int { return child + lookup }))
	}
	// The payload has as many results as the input has products, and maxMoreErrors errors more; see importResults. A function is told
	// its own arguments only, so this one multiplies the whole payload, and those below nothing.
	c.Mutation.ProductsImport = func(child int, input model.ProductsImportInput) int {
		return times(len(input.Products) + maxMoreErrors)(child)
	}
	c.ProductsImportPayload.Results = times(1)
	c.ProductImportResult.UserErrors = times(1)
	// An import fails as a whole for one reason, so what is multiplied may be a part of its cost.
	c.ProductsImportPayload.UserErrors = func(child int) int { return 1 + child/maxMoreErrors }
	c.Subscription.StockChanged = func(child int, _ []string) int { return child + lookup }
	c.Subscription.OrderUpdated = func(child int, _ string) int { return child + lookup }
	c.Subscription.QueueTicketUpdated = func(child int, _ string) int { return child + lookup }
	return c
}

// complexityOf returns the place of the function of a field.
func complexityOf(c *generated.ComplexityRoot, typeName, field string) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByName(typeName).FieldByName(strings.ToUpper(field[:1]) + field[1:])
}

// maxCost bounds what a list multiplies, so that the cost of an operation does not overflow an int.
const maxCost = 1 << 30

func countedOnly(child int, first *int, _ *string, last *int, _ *string) int {
	return countedPage(child, first, last)
}

// countedPage is the cost of a page of a list that can be counted.
func countedPage(child int, first, last *int) int { return pageCost(child, first, last) + counted }

func entriesCost(child int, first *int, _ *string, last *int, _ *string, filter *model.EntryFilter) int {
	cost := pageCost(child, first, last)
	if filter != nil && (len(filter.Kind) > 0 || isRange(filter.CreatedAt)) {
		cost += journalFilter
	}
	return cost
}

// productFilterCost is the cost of a filter besides the page. A filter without a condition costs nothing, and neither does
// includeArchived, which leaves nothing out.
func productFilterCost(filter *model.ProductFilter) int {
	switch {
	case filter == nil:
		return 0
	case filter.Available != nil:
		return scan
	case filter.CategoryID != nil, hasText(filter.Search), hasText(filter.Vendor), hasText(filter.ProductType), hasText(filter.Tag), filter.Price != nil && (filter.Price.MinMinor != nil || filter.Price.MaxMinor != nil):
		return search
	}
	return 0
}

func hasText(text *string) bool { return strings.TrimSpace(orZero(text)) != "" }

// orderFilterCost is the cost of a filter of orders besides the page.
func orderFilterCost(filter *model.OrderFilter) int {
	if filter != nil && (len(filter.Status) > 0 || isRange(filter.CreatedAt) || filter.Fulfilment != nil) {
		return search
	}
	return 0
}

// isRange reports whether a range of time has a bound.
func isRange(r *model.DateTimeRangeFilter) bool { return r != nil && (r.From != nil || r.Until != nil) }

func listCost(child int, first *int) int { return pageCost(child, first, nil) }

// pageCost is the cost of a page. commerce refuses sizes out of bounds later; they must not be cheap until then.
func pageCost(child int, first, last *int) int {
	n := defaultPage
	if first != nil || last != nil {
		n = min(max(orZero(first), orZero(last), 1), commerce.MaxPage)
	}
	return times(n)(child)
}

func times(n int) func(child int) int {
	return func(child int) int { return n * (min(child, maxCost) + 1) }
}

// atMost cuts a list off at its bound.
func atMost[T any](n int, list []T) []T { return list[:min(n, len(list))] }
