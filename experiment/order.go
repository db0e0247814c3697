package experiment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/ent/balance"
	"holdfast/ent/entry"
	"holdfast/experiment/audit"
	"holdfast/experiment/history"
	"holdfast/experiment/load"
	"holdfast/experiment/report"
	"holdfast/lockprovider"
)

// journalPage is how many balances the journal is read of at a time.
const journalPage = 500

// checkOrder holds what the clients saw against the journal. The servers must have stopped, or have nothing left to do.
func (t *target) checkOrder(ctx context.Context, rec *load.Recording, out *report.Run) error {
	h := history.History{Operations: rec.History, Balances: map[string]history.Balance{}}
	if t.shared && t.redis == nil {
		h.Operations = withoutAccepted(rec.History)
	}
	keys := map[string]bool{}
	for _, r := range rec.Requests {
		for _, key := range r.Moves() {
			keys[key] = true
		}
	}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(keys)), journalPage) {
		balances, err := t.db.Ent.Balance.Query().Where(balance.IDIn(page...)).All(ctx)
		if err != nil {
			return fmt.Errorf("read the balances of the history: %w", err)
		}
		for _, row := range balances {
			h.Balances[row.ID] = history.Balance{Opening: row.Opening, Moves: row.Applied}
		}
		entries, err := t.db.Ent.Entry.Query().Where(entry.BalanceIn(page...)).Order(entry.ByBalance(), entry.ByID()).All(ctx)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		for _, row := range entries {
			h.Journal = append(h.Journal, history.Entry{
				Balance: row.Balance, Position: row.Position, Change: row.ChangeID, Delta: row.Delta, After: row.AmountAfter,
			})
		}
	}
	out.History, out.Anomalies = len(h.Operations), history.Check(&h)
	out.Audit += ", order"
	return nil
}

// withoutAccepted returns operations of which those that were accepted count as unknown: nobody has waited until the database has them.
func withoutAccepted(operations []history.Operation) []history.Operation {
	out := slices.Clone(operations)
	for i := range out {
		if out[i].Outcome == history.Accepted {
			out[i].Outcome = history.Unknown
		}
	}
	return out
}

// ackOf returns the ack under which a shop has answered.
func ackOf(operations []history.Operation) lockprovider.Ack {
	if slices.ContainsFunc(operations, func(o history.Operation) bool { return o.Outcome == history.Accepted }) {
		return lockprovider.AckAccepted
	}
	return lockprovider.AckPersisted
}

// guaranteeOf says which guarantee of docs/strategies.md an anomaly breaks.
var guaranteeOf = map[history.Name]lockprovider.Guarantee{
	history.DuplicatedEffect: lockprovider.OnceGuaranteed, history.VanishedEffect: lockprovider.OnceGuaranteed,
	history.LostUpdate: lockprovider.OnceGuaranteed, history.G1a: lockprovider.OnceGuaranteed,
	history.G0: lockprovider.SerializableGuaranteed, history.G1b: lockprovider.SerializableGuaranteed,
	history.G1c: lockprovider.SerializableGuaranteed, history.GSingle: lockprovider.SerializableGuaranteed, history.G2: lockprovider.SerializableGuaranteed,
	history.StaleRead: lockprovider.StrictGuaranteed, history.RealTimeViolation: lockprovider.StrictGuaranteed,
	history.NonMonotonicRead: lockprovider.SessionGuaranteed, history.SessionViolation: lockprovider.SessionGuaranteed,
}

// GuaranteeOf returns the guarantee that an anomaly breaks, or "" if there is no such anomaly.
func GuaranteeOf(name history.Name) lockprovider.Guarantee { return guaranteeOf[name] }

// anomalies are the findings that the report begins with. info is the row of the strategy in the table: what it does not promise with this
// ack, or from when on it does, is said to be so.
func anomalies(found []history.Anomaly, info lockprovider.Info, ack lockprovider.Ack) []audit.Finding {
	var out []audit.Finding
	for _, a := range found {
		_, cycle, _ := strings.Cut(strings.TrimSpace(a.Text), "\n")
		breaks := fmt.Sprintf("%q is not promised", guaranteeOf[a.Name])
		if since := info.Guarantees(guaranteeOf[a.Name], ack); since != lockprovider.Never {
			breaks = fmt.Sprintf("%q is promised %s", guaranteeOf[a.Name], since)
		}
		out = append(out, audit.Finding{
			Kind: string(a.Name), Subject: fmt.Sprintf("%d times, and %s.", a.Count, breaks), Text: a.Name.Meaning() + "\n" + cycle,
		})
	}
	return out
}
