package schedulers

import (
	"context"
	"errors"
	"testing"

	"holdfast/commerce"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

func TestPrimeCreatesWhatRedisLost(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		i := s.process(t, "only", lockprovider.Lua)
		r := i.runner(t, i.deps(settings()))
		var products []string
		for range 7 {
			id := i.product(t, 10)
			must(t, i.order(t.Context(), id))
			products = append(products, id)
		}
		i.settle(t)
		result, err := r.Prime(t.Context())
		wantResult(t, result, err, Result{"balances": 7, "created": 0})

		// What counts against a limit of a customer is not created before a change needs it.
		_, err = i.Catalog.Update(t.Context(), admin, commerce.UpdateProduct{
			ID: products[0], Version: 1, Limit: &commerce.PurchaseLimit{Quantity: 3},
		})
		must(t, err)
		must(t, i.order(t.Context(), products[0]))
		i.settle(t)
		buyer := stockKeyInRedis("balance:" + lockprovider.BuyerKey(products[0], shopper.UserID, ""))
		if n, err := i.redis.Del(t.Context(), buyer).Result(); err != nil || n != 1 {
			t.Fatalf("%d balances of the customer in Redis, %v", n, err)
		}
		must(t, i.redis.Del(t.Context(), stockInRedis(products[2]), stockInRedis(products[6])).Err())
		result, err = r.Prime(t.Context())
		wantResult(t, result, err, Result{"balances": 7, "created": 2})
		if n, err := i.redis.Exists(t.Context(), buyer).Result(); err != nil || n != 0 {
			t.Errorf("%d balances of the customer in Redis, %v", n, err)
		}
		must(t, i.order(t.Context(), products[0]))
		i.settle(t)
		i.wantAgreement(t)

		must(t, i.redis.FlushAll(t.Context()).Err())
		result, err = newReconcile(i.deps(settings())).runOnce(t.Context())
		wantResult(t, result, err, Result{countMissing: 8, countDrifts: 0, countLocked: 0})
		result, err = r.Prime(t.Context())
		wantResult(t, result, err, Result{"created": 7, "inFlight": 0})
		must(t, i.order(t.Context(), products...))
		i.settle(t)
		i.wantAgreement(t)
		i.audit(t)
	})
}

// A balance of which changes are in flight is not created from a database that does not know them; it is once it does.
func TestPrimeWaitsForChangesInFlight(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		i := s.process(t, "only", lockprovider.Lua)
		r := i.runner(t, i.deps(settings()))
		product := i.product(t, 10)
		must(t, i.order(t.Context(), product))
		i.settle(t)
		i.stopPersisting()
		customer := make(chan error, 1)
		go func() { customer <- i.order(t.Context(), product) }()
		until(t, "a change in flight", func() bool {
			n, err := i.stock().Backlog(t.Context())
			must(t, err)
			return n == 1
		})
		must(t, i.redis.Del(t.Context(), stockInRedis(product)).Err())
		reconciling := newReconcile(i.deps(settings()))
		for range 2 {
			result, err := r.Prime(t.Context())
			wantResult(t, result, err, Result{"created": 0, "inFlight": 1})
			result, err = reconciling.runOnce(t.Context())
			wantResult(t, result, err, Result{countMissing: 1, countLocked: 1, countDrifts: 0})
		}
		i.persist()
		must(t, testenv.Receive(t, customer, "the order in flight"))
		i.settle(t)
		result, err := r.Prime(t.Context())
		wantResult(t, result, err, Result{"created": 1, "inFlight": 0})
		i.wantAgreement(t)
	})
}

// Somebody deletes the stream, with changes in it that nobody had persisted. They are lost, but the product is not: without
// its balance and with a count of changes in flight that never ends, it could never be sold again.
func TestReconcileFreesWhatALostStreamBlocks(t *testing.T) {
	everywhere(t, func(t *testing.T, s stores) {
		i := s.process(t, "only", lockprovider.Lua)
		r := i.runner(t, i.deps(settings()))
		lost, drifted := i.product(t, 10), i.product(t, 10)
		must(t, i.order(t.Context(), lost, drifted))
		i.settle(t)
		i.stopPersisting()
		waiting, leave := context.WithCancel(t.Context())
		customer := make(chan error, 1)
		go func() { customer <- i.order(waiting, lost, drifted) }()
		until(t, "a change in flight", func() bool {
			n, err := i.stock().Backlog(t.Context())
			must(t, err)
			return n == 1
		})
		must(t, i.redis.Del(t.Context(), stockKeyInRedis("changes"), stockInRedis(lost)).Err())
		result, err := r.Prime(t.Context())
		wantResult(t, result, err, Result{"created": 0, "inFlight": 1})
		result, err = newReconcile(i.deps(settings())).runOnce(t.Context())
		wantResult(t, result, err, Result{countMissing: 1, countDrifts: 1, countRepaired: 1})
		inFlight, err := i.stock().InFlight(t.Context())
		must(t, err)
		if len(inFlight) != 0 {
			t.Errorf("still counted: %v", inFlight)
		}
		i.wantAgreement(t)
		i.persist()
		must(t, i.order(t.Context(), lost, drifted))
		i.settle(t)
		i.wantAgreement(t)
		i.audit(t)
		leave()
		if err := testenv.Receive(t, customer, "the order that is lost"); !errors.Is(err, context.Canceled) {
			t.Errorf("the customer whose order is lost got %v", err)
		}
	})
}
