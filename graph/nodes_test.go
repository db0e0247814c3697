package graph_test

import (
	"context"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
)

// unknownID is an identifier as the shop makes them, of nothing.
func unknownID(prefix string) string {
	id := uuid.New()
	return prefix + base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding).EncodeToString(id[:])
}

// confirmed repeats an operation until the database has confirmed it.
func confirmed[T any](t *testing.T, what string, do func() (T, error)) (result T) {
	t.Helper()
	until(t, what, func() bool {
		var err error
		result, err = do()
		if errs, ok := commerce.UserErrors(err); ok && errs[0].RetryAfter > 0 {
			return false
		}
		must(t, err)
		return true
	})
	return result
}

// stall keeps the database from confirming what is accepted, until resume is called: the test is its one writer.
func (a *api) stall(t *testing.T) (resume func()) {
	t.Helper()
	tx, err := a.db.Ent.Tx(context.WithoutCancel(t.Context()))
	must(t, err)
	resume = sync.OnceFunc(func() { must(t, tx.Rollback()) })
	t.Cleanup(resume)
	return resume
}

// TestNodesFailAlone asks for objects together of which some cannot be read: because the database does not confirm their change, and then
// because Redis does not answer. At the place of each is what node answers.
func TestNodesFailAlone(t *testing.T) {
	a := newAPI(t, settings{bare: true, accepting: true, persistWait: time.Millisecond})
	ctx, v := a.as(alice)
	_, root := a.as(admin)
	product, err := a.services.Catalog.Create(ctx, root, commerce.CreateProduct{
		SKU: "A", Name: "Thing", Price: commerce.Money{Minor: 100, Currency: "USD"}, Stock: 10,
	})
	must(t, err)
	var accounts []string
	for range 2 {
		row, err := a.services.Accounts.Open(ctx, root, commerce.OpenAccount{Name: "Account", Currency: "USD", UserID: alice, Opening: 100})
		must(t, err)
		accounts = append(accounts, row.ID)
	}
	coupon := a.coupon(t, commerce.CreateCoupon{Name: "Coupon", Quota: 10, PerUserLimit: 10})
	move := func() string {
		result, err := a.services.Accounts.Transfer(ctx, v, commerce.Transfer{
			Key: uuid.New(), From: accounts[0], To: accounts[1], Amount: commerce.Money{Minor: 1, Currency: "USD"},
		})
		must(t, err)
		return result.Transfer.ID
	}
	issue := func() string {
		result, err := a.services.Coupons.Issue(ctx, v, commerce.IssueCoupon{Key: uuid.New(), CouponID: coupon})
		must(t, err)
		return result.Issue.ID
	}
	charge := commerce.ChargePoints{Key: uuid.New(), Amount: 1000}
	confirmed(t, "points to be bought", func() (commerce.PointsResult, error) { return a.services.Points.Charge(ctx, v, charge) })
	place := commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: product.ID, Quantity: 1}}, Payment: &commerce.Payment{Method: "POINTS"},
	}
	order := confirmed(t, "an order to be paid", func() (commerce.OrderResult, error) { return a.services.Orders.Place(ctx, v, place) }).Order.ID
	moved, issued := move(), issue()
	confirmed(t, "a transfer", func() (any, error) { return a.services.Accounts.GetTransfer(ctx, v, moved) })
	confirmed(t, "an issued coupon", func() (any, error) { return a.services.Coupons.GetIssue(ctx, v, issued) })

	check := func(user string, ids []string, fail ...string) {
		t.Helper()
		var numbers []string
		for i, id := range ids {
			if slices.Contains(fail, id) {
				numbers = append(numbers, fmt.Sprintf("[nodes %d]", i))
			}
		}
		r := a.do(user, `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, object{"ids": ids})
		var failed []string
		for _, e := range r.Errors {
			failed = append(failed, fmt.Sprint(e.Path))
			if e.Extensions["code"] != "UNAVAILABLE" {
				t.Errorf("an error is %v", e)
			}
		}
		slices.Sort(failed)
		slices.Sort(numbers)
		if !slices.Equal(failed, numbers) {
			t.Errorf("errors at %v, want %v: %s", failed, numbers, r.body)
		}
		for i, id := range ids {
			one := a.do(user, `query($id: ID!) { node(id: $id) { id } }`, object{"id": id})
			r.want(fmt.Sprint("nodes.", i), one.at("node"))
			if (len(one.Errors) > 0) != slices.Contains(fail, id) {
				t.Errorf("node answers %s", one.body)
			}
		}
	}
	resume := a.stall(t)
	stuckTransfer, stuckIssue := move(), issue()
	check(alice, []string{moved, stuckTransfer, moved, unknownID("tr_"), issued, stuckIssue, unknownID("cpi_")}, stuckTransfer, stuckIssue)
	resume()
	confirmed(t, "the transfer", func() (any, error) { return a.services.Accounts.GetTransfer(ctx, v, stuckTransfer) })

	must(t, a.redis.Close())
	payment := strings.Replace(order, "ord_", "pay_", 1)
	lost := []string{unknownID("tr_"), unknownID("cpi_"), unknownID("ord_"), unknownID("pay_")}
	check(alice, append(slices.Clone(lost), moved, issued, order, payment, "ord_0", "pay_0", "tr_0", "cpi_0"), lost...)
	check(nobody, append(lost, moved, issued, order, payment))
}

// TestUnknownNodesAreReadTogether counts the queries of the database for objects that do not exist, and of which a strategy that decides
// in Redis may know.
func TestUnknownNodesAreReadTogether(t *testing.T) {
	a := newAPI(t, settings{bare: true, accepting: true})
	for _, prefix := range []string{"ord_", "pay_", "tr_", "cpi_"} {
		var ids []string
		for range 100 {
			ids = append(ids, unknownID(prefix))
		}
		count := func(ids []string) int64 {
			before := a.queries.Load()
			a.ok(alice, `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, object{"ids": ids}).want(fmt.Sprint("nodes.", len(ids)-1), nil)
			return a.queries.Load() - before
		}
		if one, many := count(ids[:1]), count(ids); one == 0 || many > one {
			t.Errorf("%s: %d queries for one that does not exist, %d for a hundred", prefix, one, many)
		}
	}
}
