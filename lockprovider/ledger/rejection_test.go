package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"holdfast/lockprovider/ledger"
)

// What a change was refused for is the same error for who hears of it, and for who finds it in Redis because the message was lost.
func TestRejectionSurvivesTheWayThroughRedis(t *testing.T) {
	misfit := &ledger.Refused{Refusals: []ledger.Refusal{{Balance: "stock:product:1", Delta: -2, Available: 1, Reason: ledger.ErrInsufficient}}}
	for _, reason := range []error{
		fmt.Errorf("%w: stock:product:1", ledger.ErrUnknownBalance), ledger.ErrIDExpired, misfit,
		&ledger.Rejected{Code: "ORDER_MOVED", Message: "too late"},
	} {
		got := ledger.DecodeRejection(ledger.EncodeRejection(reason))
		if got.Error() != reason.Error() {
			t.Errorf("%v comes back as %v", reason, got)
		}
		for _, is := range []error{ledger.ErrUnknownBalance, ledger.ErrIDExpired, ledger.ErrInsufficient} {
			if errors.Is(got, is) != errors.Is(reason, is) {
				t.Errorf("%v: is %v %t, and comes back as %t", reason, is, errors.Is(reason, is), errors.Is(got, is))
			}
		}
	}
}
