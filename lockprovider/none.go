package lockprovider

import (
	"context"

	"holdfast/lockprovider/ledger"
)

// none keeps nobody out: it reads, checks, and writes what it computed. It exists to reproduce the lost update, as the
// control that every suite and audit must catch, and is refused outside of experiments.
type none struct{ ledger *Ledger }

func newNone(d Deps) (Provider, error) { return &none{ledger: d.Ledger}, nil }

func (p *none) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		read, err := p.ledger.Read(ctx, c.Moves)
		if err != nil {
			return Receipt{}, err
		}
		after, err := ledger.Check(read, c.Moves)
		if err != nil {
			return Receipt{}, err
		}
		return p.ledger.Run(ctx, None, func(tx *ledger.Tx) error {
			return tx.Write(ctx, c, read, after, ledger.Unconditional)
		})
	})
}
