package graph

import (
	"testing"

	"holdfast/ent"
	"holdfast/ent/order"
	"holdfast/ent/payment"
)

// TestRefundable: nothing can be refunded of an order that has ended, also while its payment is still to be given back.
func TestRefundable(t *testing.T) {
	t.Parallel()
	for status, want := range map[order.Status]int64{
		order.StatusPAID: 650, order.StatusCANCELLED: 0, order.StatusFAILED: 0, order.StatusPENDING: 0,
	} {
		paid := &ent.Payment{Status: payment.StatusCAPTURED, AmountMinor: 1000, RefundedMinor: 300, RefundingMinor: 50}
		row := &ent.Order{Status: status, Edges: ent.OrderEdges{Payment: paid}}
		if got := toOrder(row).Payment.Refundable; *got != *money(want, "") {
			t.Errorf("of a payment of 1000, an order that is %s has %+v, want %d", status, got, want)
		}
	}
}
