package schedulers

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/commerce"
	"holdfast/lockprovider"
	"holdfast/payments"
)

// A difference between the gateway and the shop is counted and told once, when its day has ended, and settled when it is gone.
func TestPaymentDrift(t *testing.T) {
	p, ctx := embedded(t).process(t, "one", lockprovider.AtomicSQL), t.Context()
	gateway := payments.NewSimulated(payments.SimulatedSettings{})
	gateway.Now = p.clock.Now
	usd := payments.Amount{Minor: 100, Currency: "USD"}
	ref := payments.Ref{Attempt: "pat_of_nobody"}
	_, err := gateway.Authorize(ctx, payments.Authorization{Attempt: ref.Attempt, Amount: usd})
	must(t, err)
	_, err = gateway.Capture(ctx, ref, usd)
	must(t, err)

	registry := prometheus.NewRegistry()
	var log lines
	d := p.deps(settings())
	d.Metrics, d.Log = NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil))
	d.Drifts = commerce.New(commerce.Deps{
		Client: p.db.Ent, Ledger: p.ledger, Providers: p.providers, Gateway: gateway, Now: p.clock.Now,
		Payment: commerce.PaymentSettings{Gateway: commerce.GatewaySimulated, Timeout: longEnough},
	}).Drifts
	r := p.runner(t, d)
	run := func(want Result) {
		t.Helper()
		run, err := r.RunNow(ctx, PaymentDrift)
		must(t, err)
		if run.Error != "" {
			t.Errorf("the run failed: %s", run.Error)
		}
		wantResult(t, run.Result, nil, want)
	}
	run(Result{"compared": 0, "differences": 0, "settled": 0}) // the day has not ended
	p.clock.Advance(25 * time.Hour)
	run(Result{"compared": 1, "differences": 1, "settled": 0})
	run(Result{"compared": 1, "differences": 0, "settled": 0})
	_, err = gateway.Refund(ctx, ref, "by hand", usd)
	must(t, err)
	run(Result{"compared": 1, "differences": 0, "settled": 1})
	run(Result{"compared": 0, "differences": 0, "settled": 0})
	if n := log.count("the payment gateway and the shop differ"); n != 1 {
		t.Errorf("told %d times", n)
	}
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != "holdfast_payment_drift_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			want := 0.0
			if m.GetLabel()[0].GetValue() == "CAPTURE_UNKNOWN" {
				want = 1
			}
			if got := m.GetCounter().GetValue(); got != want {
				t.Errorf("%v of %v, want %v", got, m.GetLabel(), want)
			}
		}
	}
}
