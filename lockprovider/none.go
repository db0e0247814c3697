package lockprovider

import (
	"context"

	"holdfast/ent"
)

// none keeps nobody out: it reads, checks, and writes what it computed. It exists to reproduce the lost update, as the
// control that every suite and audit must catch, and is refused outside of experiments.
type none struct{ ledger *Ledger }

func newNone(d Deps) (Provider, error) { return &none{ledger: d.Ledger}, nil }

func (p *none) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.settle(ctx, c, func() (Receipt, error) {
		read, err := p.ledger.read(ctx, p.ledger.client.Balance, c.Moves, false)
		if err != nil {
			return Receipt{}, p.ledger.failure(ctx, err)
		}
		after, err := check(read, c.Moves)
		if err != nil {
			return Receipt{}, err
		}
		return p.ledger.transact(ctx, None, func(tx *ent.Tx) (map[string]int64, error) {
			return p.ledger.writeAmounts(ctx, tx, c, None, read, after, unconditional)
		})
	})
}
