package graph

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"holdfast/commerce"
	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
	"holdfast/graph/model"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

// The functions of this file map rows of the database to types of the schema. Each maps nil to nil,
// so that callers need no case for an object that does not exist.

// These prefixes belong to identifiers that have none in commerce: those of users, wallets and
// journal entries.
const (
	prefixCustomer = "user_"
	prefixWallet   = "wallet_"
	prefixEntry    = "entry_"
)

func money(minor int64, currency string) *model.Money {
	return &model.Money{
		Amount: commerce.Money{Minor: minor, Currency: currency}.Decimal(), AmountMinor: minor, Currency: currency,
		MinorDigits: commerce.MinorDigits(currency),
	}
}

func toProduct(p *ent.Product) *model.Product {
	if p == nil {
		return nil
	}
	return &model.Product{
		ID: p.ID, Sku: p.Sku, Name: p.Name, Description: p.Description, Price: money(p.PriceMinor, p.Currency),
		Handle: commerce.HandleOf(p), Vendor: orNull(p.Vendor), ProductType: orNull(p.ProductType), Tags: append([]string{}, p.Tags...),
		PriceRange:       &model.PriceRange{Min: money(p.PriceMinor, p.Currency), Max: money(p.MaxPriceMinor, p.Currency)},
		LimitPerCustomer: toLimit(p.LimitQuantity, p.LimitHours), OptionNames: p.Options,
		Version: p.Version, ArchivedAt: p.ArchivedAt, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

func toLimit(quantity int64, hours int) *model.PurchaseLimit {
	if quantity == 0 {
		return nil
	}
	limit := &model.PurchaseLimit{Quantity: quantity}
	if hours != 0 {
		limit.PeriodHours = &hours
	}
	return limit
}

func fromLimit(in *model.PurchaseLimitInput) *commerce.PurchaseLimit {
	if in == nil {
		return nil
	}
	return &commerce.PurchaseLimit{Quantity: in.Quantity, Hours: orZero(in.PeriodHours)}
}

func toOrder(o *ent.Order) *model.Order {
	if o == nil {
		return nil
	}
	order := &model.Order{
		ID: o.ID, Status: model.OrderStatus(o.Status), Lines: make([]*model.OrderLine, len(o.Edges.Lines)),
		Subtotal: money(o.SubtotalMinor, o.Currency), Discount: money(o.DiscountMinor, o.Currency),
		Total: money(o.TotalMinor, o.Currency), Payment: toPayment(o.Edges.Payment, o),
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, ExpiresAt: o.ExpiresAt,
		Persistence: model.PersistenceStatePersisted,
		Fulfilment:  model.OrderFulfilment(o.Fulfilment), FulfilledAt: o.FulfilledAt, Tracking: orNull(o.Tracking),
		ShippingAddress: toAddress(o.ShippingAddress), Contact: toContact(o.Contact),
	}
	paid := commerce.PaidFor(o)
	for i, l := range o.Edges.Lines {
		order.Lines[i] = &model.OrderLine{
			Product: toProduct(l.Edges.Product), VariantID: l.VariantID, VariantTitle: l.VariantTitle, Quantity: l.Quantity,
			UnitPrice: money(l.UnitPriceMinor, o.Currency), Total: money(commerce.LineTotal(l.UnitPriceMinor, l.Quantity), o.Currency),
			Paid: money(paid[i], o.Currency), Returned: l.Returned,
		}
	}
	if o.FailureCode != "" {
		order.Failure = &model.OrderFailure{Code: model.ErrorCode(o.FailureCode), Reason: o.FailureReason}
	}
	order.CustomerID = o.UserID
	if o.CouponIssueID != nil {
		order.CouponIssueID = *o.CouponIssueID
	}
	return order
}

// toOrderAs is toOrder for an order that may not be in the database yet.
func toOrderAs(o *ent.Order, p commerce.Persistence) *model.Order {
	order := toOrder(o)
	if order != nil && p != "" {
		order.Persistence = model.PersistenceState(p)
	}
	return order
}

func toTicket(r commerce.OrderResult, refused []model.UserError) *model.QueueTicket {
	if r.Ticket == nil {
		return nil
	}
	ticket := &model.QueueTicket{
		ID: r.Ticket.ID, Status: model.TicketStatus(r.Ticket.Status), Position: r.Ticket.Position,
		Result: toOrderAs(r.Order, r.Persistence), ExpiresAt: r.Ticket.ExpiresAt, UserErrors: refused,
	}
	if r.Ticket.ETA > 0 {
		ms := int(r.Ticket.ETA.Milliseconds())
		ticket.EtaMs = &ms
	}
	return ticket
}

// orderedProducts returns the products of an order, whose stock it has changed.
func orderedProducts(o *ent.Order) []*model.Product {
	products, seen := []*model.Product{}, map[string]bool{}
	if o != nil {
		for _, l := range o.Edges.Lines {
			if !seen[l.ProductID] { // an order may have several variants of one
				seen[l.ProductID] = true
				products = append(products, toProduct(l.Edges.Product))
			}
		}
	}
	return products
}

// toPayment shows a payment of an order.
func toPayment(p *ent.Payment, o *ent.Order) *model.Payment {
	if p == nil {
		return nil
	}
	return &model.Payment{
		ID: p.ID, Method: model.PaymentMethod(p.Method), Status: model.PaymentStatus(p.Status),
		Amount: money(p.AmountMinor, p.Currency), AccountID: p.AccountID, Reference: orNull(p.Reference),
		FailureReason: orNull(p.FailureReason), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
		Refunded: money(p.RefundedMinor, p.Currency), Refundable: money(refundable(p, o), p.Currency),
	}
}

// refundable is what can still be refunded of the payment of an order. One that has ended gives everything back by itself.
func refundable(p *ent.Payment, o *ent.Order) int64 {
	if p.Status != payment.StatusCAPTURED || o.Status != order.StatusPAID {
		return 0
	}
	return p.AmountMinor - p.RefundedMinor - p.RefundingMinor
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func toCoupon(c *ent.Coupon) *model.Coupon {
	if c == nil {
		return nil
	}
	return &model.Coupon{
		ID: c.ID, Name: c.Name, DiscountKind: model.DiscountKind(c.DiscountKind), DiscountValue: c.DiscountValue,
		Quota: c.Quota, PerUserLimit: c.PerUserLimit, ValidFrom: c.ValidFrom, ValidUntil: c.ValidUntil,
		StoppedAt: c.StoppedAt, Version: c.Version, CreatedAt: c.CreatedAt,
	}
}

// toBound tells null, which takes a bound away, from what is not given.
func toBound(at graphql.Omittable[*time.Time]) commerce.NewBound {
	return commerce.NewBound{Given: at.IsSet(), At: at.Value()}
}

// productPayload answers a mutation of a product.
func (r *Resolver) productPayload(ctx context.Context, row *ent.Product, err error) (*model.ProductPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.ProductPayload{Product: toProduct(row), UserErrors: userErrors}, nil
}

// couponPayload answers a mutation of a coupon.
func (r *Resolver) couponPayload(ctx context.Context, row *ent.Coupon, err error) (*model.CouponPayload, error) {
	userErrors, err := r.userErrors(ctx, err)
	if err != nil {
		return nil, err
	}
	return &model.CouponPayload{Coupon: toCoupon(row), UserErrors: userErrors}, nil
}

// toCouponIssue needs a row whose coupon is loaded.
func toCouponIssue(i *ent.CouponIssue) *model.CouponIssue {
	if i == nil {
		return nil
	}
	return &model.CouponIssue{
		ID: i.ID, Coupon: toCoupon(i.Edges.Coupon), Status: model.CouponIssueStatus(i.Status), OrderID: i.OrderID,
		IssuedAt: i.IssuedAt,
	}
}

func toAccount(a *ent.Account) *model.Account {
	if a == nil {
		return nil
	}
	return &model.Account{ID: a.ID, Name: a.Name, Currency: a.Currency, CreatedAt: a.CreatedAt}
}

func toTransfer(t *ent.Transfer) *model.Transfer {
	if t == nil {
		return nil
	}
	return &model.Transfer{
		ID: t.ID, FromAccountID: t.FromAccountID, ToAccountID: t.ToAccountID,
		Amount: money(t.AmountMinor, t.Currency), CreatedAt: t.CreatedAt,
	}
}

func toEntry(e *ent.Entry) *model.Entry {
	if e == nil {
		return nil
	}
	return &model.Entry{
		ID: prefixEntry + strconv.FormatInt(e.ID, 10), Delta: e.Delta, AmountAfter: e.AmountAfter,
		Kind: toEntryKind(e.Kind), ChangeID: e.ChangeID, CreatedAt: e.CreatedAt,
	}
}

// toEntryKind turns "order.paid" into ORDER_PAID.
func toEntryKind(kind string) model.EntryKind {
	return model.EntryKind(strings.ToUpper(strings.ReplaceAll(kind, ".", "_")))
}

// fromEntryKind turns ORDER_PAID into "order.paid".
func fromEntryKind(kind model.EntryKind) string {
	return strings.ReplaceAll(strings.ToLower(string(kind)), "_", ".")
}

func toCustomer(u *ent.User) *model.Customer {
	if u == nil {
		return nil
	}
	return &model.Customer{ID: prefixCustomer + u.ID, Name: u.Name, Contact: toContact(u.Contact), CreatedAt: u.CreatedAt}
}

// customerID is the customer's part of an identifier.
func customerID(id string) string { return strings.TrimPrefix(id, prefixCustomer) }

func toWallet(userID string) *model.Wallet { return &model.Wallet{ID: prefixWallet + userID} }

// walletOwner is the customer whose wallet it is.
func walletOwner(w *model.Wallet) string { return strings.TrimPrefix(w.ID, prefixWallet) }

func toAdjustment(a *ent.Adjustment) *model.Adjustment {
	subject := a.Subject
	if a.Family == string(lockprovider.Points) {
		subject = prefixCustomer + subject
	}
	return &model.Adjustment{
		Family: model.Family(a.Family), SubjectID: subject, VariantID: a.VariantID, Delta: a.Delta, Reason: a.Reason,
		AdministratorID: prefixCustomer + a.Administrator, ChangeID: a.ChangeID, CreatedAt: a.CreatedAt,
	}
}

func toPaymentMethods(methods []payment.Method) []model.PaymentMethod {
	list := make([]model.PaymentMethod, len(methods))
	for i, m := range methods {
		list[i] = model.PaymentMethod(m)
	}
	return list
}

// toStrategy turns "setnx" into SETNX.
func toStrategy(s lockprovider.Strategy) model.Strategy {
	return model.Strategy(strings.ToUpper(string(s)))
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fromPayment maps an optional input.
func fromPayment(in *model.PaymentInput) *commerce.Payment {
	if in == nil {
		return nil
	}
	return &commerce.Payment{Method: payment.Method(in.Method), AccountID: orZero(in.AccountID), Token: orZero(in.Token), AttemptID: orZero(in.AttemptID)}
}

func fromMoney(in *model.MoneyInput) commerce.Money {
	return commerce.Money{Minor: in.AmountMinor, Currency: in.Currency}
}

func fromImport(in *model.ProductImport) commerce.ImportRow {
	row := commerce.ImportRow{
		SKU: in.Sku, FormerSKUs: in.FormerSkus, Name: orZero(in.Name), Description: in.Description, Stock: in.Stock, OffSale: in.Archived,
		Options: in.Options, OptionValues: in.OptionValues,
		ImportAttributes: commerce.ImportAttributes{
			Handle: orZero(in.Handle), Vendor: in.Vendor, ProductType: in.ProductType, Tags: in.Tags, Images: fromImages(in.Images), Category: in.Category,
		},
	}
	if in.Price != nil {
		price := fromMoney(in.Price)
		row.Price = &price
	}
	return row
}

// orZero returns the value of an optional input, or the zero value if it is null or absent.
func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// orError returns a value that a field can lack, which it does if it could not be read.
func orError[T any](value T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return &value, nil
}

// orDefault returns the value of an optional input, or otherwise if it is null. A client may send
// null even if the schema has a default.
func orDefault[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// each maps a list. The result is never nil: the schema promises a list.
func each[Row, Node any](rows []Row, to func(Row) Node) []Node {
	nodes := make([]Node, len(rows))
	for i, row := range rows {
		nodes[i] = to(row)
	}
	return nodes
}

// lineInput is an input that says how many of which product.
type lineInput interface {
	model.OrderLineInput | model.HoldLineInput | model.CartLineInput | model.CartLineUpdateInput | model.ReturnLineInput
}

// fromLines maps nil to nil.
func fromLines[In lineInput](lines []*In) []commerce.Line {
	if lines == nil {
		return nil
	}
	return each(lines, func(in *In) commerce.Line {
		line := model.OrderLineInput(*in)
		return commerce.Line{ProductID: orZero(line.ProductID), VariantID: orZero(line.VariantID), Quantity: int64(line.Quantity)}
	})
}

// subjectOf returns the subject of a customer's identifier: "alice" for "user_alice".
func subjectOf(id *string) (string, error) {
	if id == nil {
		return "", nil
	}
	subject, ok := strings.CutPrefix(*id, prefixCustomer)
	if !ok || subject == "" { // to commerce, an empty subject means the caller
		return "", &commerce.Error{
			Code: commerce.InvalidInput, Field: []string{"input", "userId"},
			Message: fmt.Sprintf("userId must be the identifier of a customer, such as %q, not %.80q", prefixCustomer+"alice", *id),
		}
	}
	return subject, nil
}

// meta returns how an operation went. If it was refused before a strategy ran, meta names the
// strategy of its family.
func (r *Resolver) meta(ctx context.Context, family lockprovider.Family, m commerce.Meta) *model.OperationMeta {
	if m.Strategy == "" {
		m.Strategy = r.strategies[family]
	}
	req := transport.RequestOf(ctx)
	return &model.OperationMeta{
		RequestID: req.ID, Strategy: toStrategy(m.Strategy), Attempts: m.Attempts, LockWaitMs: millis(m.Waited),
		TotalMs: millis(time.Since(req.Start)), Replayed: m.Replayed,
		Persistence: model.PersistenceState(cmp.Or(m.Persistence, commerce.Persisted)), Positions: positions(m.Positions),
	}
}

// subjects are the balances, besides stocks, that have an object, by how their keys begin, and how the identifier of the object begins before the
// rest of the key.
var subjects = []struct{ key, identifier string }{
	{lockprovider.CouponKey(""), ""}, {lockprovider.PointsKey(""), prefixWallet}, {lockprovider.AccountKey(""), ""},
}

// positions returns the positions of what has an object, sorted. Limits and other balances of the shop's own have none.
func positions(byKey map[string]int64) []*model.BalancePosition {
	out := make([]*model.BalancePosition, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if variantID, ok := lockprovider.VariantOf(key); ok {
			out = append(out, &model.BalancePosition{SubjectID: variantID, Position: byKey[key]})
			continue
		}
		for _, s := range subjects {
			if id, ok := strings.CutPrefix(key, s.key); ok {
				out = append(out, &model.BalancePosition{SubjectID: s.identifier + id, Position: byKey[key]})
			}
		}
	}
	return out
}
