package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/config/setting"
	"holdfast/ent"
	"holdfast/ent/balance"
	"holdfast/ent/entry"
)

// RecordWriter turns the records of changes into rows (orders, issued coupons, transfers, ...) inside the transaction
// that moves the balances. An error rolls everything back, and Execute returns it as it is.
type RecordWriter func(ctx context.Context, tx *ent.Tx, changes []Change) error

// Config is what a ledger is built from.
type Config struct {
	Client *ent.Client
	// Dialect is ent's name of the database.
	Dialect string
	// Records may be nil: then every record is taken, and nothing but the change log tells of it.
	Records RecordWriter
	// Settings are the bounds of transactions. A CommitTimeout of 0 is the default.
	Settings Settings
	// FamilyOf and Normalize come from the table of families, which is above this package. FamilyOf returns the family
	// of a balance. Normalize merges and sorts the moves of a change, and refuses what no strategy could execute.
	FamilyOf  func(balance string) Family
	Normalize func(Change) (Change, error)
}

// Settings are the bounds of the transactions of changes.
type Settings struct {
	// TxRetries is how often a transaction is run again that the database aborted, as in a deadlock.
	TxRetries int `key:"txRetries" default:"10" min:"0" max:"100"`
	// CommitTimeout is how long a commit may take, as when a synchronous standby is lost. Then the request is answered with
	// UNAVAILABLE, and a repeat with the same key tells what became of it.
	CommitTimeout time.Duration `key:"commitTimeout" default:"5s" min:"100ms" max:"5m"`
}

// DefaultSettings suit a database that commits in milliseconds.
func DefaultSettings() Settings { return setting.Default[Settings]() }

// Ledger writes changes into the database. It is safe for concurrent use.
type Ledger struct {
	config Config
	// committed is called after each commit of changes.
	committed func()
	now       func() time.Time
}

// New returns the ledger of a database.
func New(c Config) *Ledger {
	c.Settings.CommitTimeout = cmp.Or(c.Settings.CommitTimeout, DefaultSettings().CommitTimeout)
	return &Ledger{config: c, committed: func() {}, now: time.Now}
}

// Ent returns the client of the database, for other tables.
func (l *Ledger) Ent() *ent.Client { return l.config.Client }

// Dialect is ent\'s name of the database.
func (l *Ledger) Dialect() string { return l.config.Dialect }

// OnCommit has f called after each commit of changes. It must be set before the first, and must not block.
func (l *Ledger) OnCommit(f func()) { l.committed = f }

// UseClock sets the clock that says when a change was made. It must be set before the first. Without it, that is time.Now.
func (l *Ledger) UseClock(now func() time.Time) { l.now = now }

// Open creates balances inside a transaction of the caller, such as the one that creates their product.
func (l *Ledger) Open(ctx context.Context, tx *ent.Tx, bounds map[string]Bounds) error {
	var rows []*ent.BalanceCreate
	for _, key := range slices.Sorted(maps.Keys(bounds)) {
		rows = append(rows, l.openingRow(tx, key, bounds[key]))
	}
	if err := tx.Balance.CreateBulk(rows...).Exec(ctx); err != nil {
		return fmt.Errorf("open balances: %w", err)
	}
	return nil
}

func (l *Ledger) openingRow(tx *ent.Tx, key string, b Bounds) *ent.BalanceCreate {
	return tx.Balance.Create().SetID(key).SetFamily(string(l.config.FamilyOf(key))).
		SetAmount(b.Opening).SetOpening(b.Opening).SetFloor(b.Floor).SetCeiling(b.Ceiling)
}

// Reading is a balance as it was read: its amount, and the position of its last move, which is how many it has taken. The two are of
// one moment.
type Reading struct{ Amount, Position int64 }

// Readings reads balances outside of any change. Keys that do not exist are absent from the result.
func (l *Ledger) Readings(ctx context.Context, keys []string) (map[string]Reading, error) {
	rows, err := l.config.Client.Balance.Query().Where(balance.IDIn(keys...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read balances: %w", err)
	}
	readings := make(map[string]Reading, len(rows))
	for _, row := range rows {
		readings[row.ID] = Reading{Amount: row.Amount, Position: row.Applied}
	}
	return readings, nil
}

// Amounts reads the amounts of balances, as [Ledger.Readings] does.
func (l *Ledger) Amounts(ctx context.Context, keys []string) (map[string]int64, error) {
	readings, err := l.Readings(ctx, keys)
	if err != nil {
		return nil, err
	}
	amounts := make(map[string]int64, len(readings))
	for key, r := range readings {
		amounts[key] = r.Amount
	}
	return amounts, nil
}

// Level is what one store says of a balance.
type Level struct {
	Amount, Floor, Ceiling int64
	Seq                    int64 // moves taken: seq in Redis, applied in the database
}

// Levels reads the balances of moves, to create them in Redis. One that does not exist yet has the bounds of its move's
// Open, else it is [ErrUnknownBalance].
func (l *Ledger) Levels(ctx context.Context, moves []Move) (map[string]Level, error) {
	balances, err := l.Read(ctx, moves)
	if err != nil {
		return nil, err
	}
	levels := make(map[string]Level, len(moves))
	for i, m := range moves {
		levels[m.Balance] = balances[i].Level()
	}
	return levels, nil
}

// Read returns the balances of moves in their order, outside of any transaction. A balance that does not exist yet has
// the bounds of its move's Open, else it is [ErrUnknownBalance].
func (l *Ledger) Read(ctx context.Context, moves []Move) ([]Balance, error) {
	balances, err := l.read(ctx, l.config.Client.Balance, moves, Plain)
	if err != nil {
		return nil, Failure(ctx, err)
	}
	return balances, nil
}

// ledgerItself is the strategy that the change log names for changes without moves.
const ledgerItself Strategy = "ledger"

// Apply executes a change that moves no balance, such as an order paid by a card: there is nothing to contend for, but
// the record, its idempotency and its event are the same as for every other change.
func (l *Ledger) Apply(ctx context.Context, c Change) (Receipt, error) {
	c, err := l.config.Normalize(c)
	if err != nil {
		return Receipt{}, err
	}
	if len(c.Moves) != 0 {
		return Receipt{}, fmt.Errorf("%w: %d moves outside a strategy", ErrInvalidChange, len(c.Moves))
	}
	return l.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		return l.Run(ctx, ledgerItself, func(tx *Tx) error { return tx.log(ctx, c) })
	})
}

// Once makes execution idempotent. If execute fails, Once looks the change ID up in the change log; if the change was
// applied, before or now, it returns that receipt instead of the error. Two errors are returned without a look: the end of
// ctx, and [ErrLockTimeout], since nothing was changed and the database should not get more load. An [ErrUnknown] that the
// look does not explain remains one: a commit that has not ended is not to be seen.
func (l *Ledger) Once(
	ctx context.Context, c Change, execute func(ctx context.Context) (Receipt, error),
) (Receipt, error) {
	receipt, err := l.overRefusals(ctx, c, execute)
	if err == nil {
		receipt.ChangeID, receipt.State, receipt.Payload = c.ID, Committed, c.Record.Payload
		return receipt, nil
	}
	if cerr := ctx.Err(); cerr != nil && !errors.Is(err, ErrUnknown) {
		return receipt, cerr
	}
	if errors.Is(err, ErrLockTimeout) {
		return receipt, err
	}
	first, found, rerr := l.ReplayAfter(ctx, c, err)
	switch {
	case IDUsed(rerr):
		return receipt, rerr
	case rerr != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrUnavailable) || errors.Is(err, ErrConflict) || errors.Is(err, ErrLockLost)):
		return receipt, err
	case rerr != nil: // a refusal would be wrong if this is a repeat of a change that was applied, as another row in the way may be
		return receipt, Unknown("whether the change was applied before", rerr)
	case found:
		first.Waited = receipt.Waited
		return first, nil
	case isCheckViolation(err):
		return receipt, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return receipt, err
}

// Payload returns the payload of a change's record, and whether the change has been applied.
func (l *Ledger) Payload(ctx context.Context, id uuid.UUID) (json.RawMessage, bool, error) {
	row, err := l.logged(ctx, id)
	if row == nil {
		return nil, false, err
	}
	return json.RawMessage(row.Payload), true, nil
}

// Knows reports whether the database knows anything of a change: that it is applied, now or long ago, or that it is refused.
func (l *Ledger) Knows(ctx context.Context, id uuid.UUID) (bool, error) {
	applied, err := l.journalled(ctx, id) // before the change log: one commit writes both, and may come in between
	if err != nil || applied {
		return applied, err
	}
	row, err := l.row(ctx, id)
	return row != nil, err
}

// logged returns the row of an applied change in the change log, or nil if there is none.
func (l *Ledger) logged(ctx context.Context, id uuid.UUID) (*ent.ChangeLog, error) {
	row, err := l.row(ctx, id)
	if row != nil && row.Kind == KindRefused {
		return nil, err
	}
	return row, err
}

// Replay returns the receipt of a change that has been applied before, and whether it has. It is [ErrIDReused] if the
// ID was used for another request, and [ErrIDExpired] if only the journal knows that the ID was used. The journal is kept
// for ever, so that a change is never applied a second time; rows of the change log are deleted after a while.
func (l *Ledger) Replay(ctx context.Context, c Change) (Receipt, bool, error) {
	expired, err := l.journalled(ctx, c.ID) // before the change log: one commit writes both, and may come in between
	if err != nil {
		return Receipt{}, false, err
	}
	row, err := l.logged(ctx, c.ID)
	switch {
	case err != nil:
		return Receipt{}, false, err
	case row == nil && expired:
		return Receipt{}, false, ErrIDExpired
	case row == nil:
		return Receipt{}, false, nil
	case row.PayloadHash != c.Record.Fingerprint || row.Kind != c.Record.Kind:
		return Receipt{}, false, ErrIDReused
	}
	entries, err := l.config.Client.Entry.Query().Where(entry.ChangeID(c.ID)).All(ctx)
	if err != nil {
		return Receipt{}, false, Failure(ctx, err)
	}
	amounts, positions := make(map[string]int64, len(entries)), make(map[string]int64, len(entries))
	for _, e := range entries {
		amounts[e.Balance] = e.AmountAfter
		if e.Position > 0 {
			positions[e.Balance] = e.Position
		}
	}
	return Receipt{
		ChangeID: c.ID, State: Committed, Strategy: Strategy(row.Strategy), Attempts: 1, Replayed: true,
		Balances: amounts, Positions: positions, Payload: json.RawMessage(row.Payload), StreamID: row.Admission,
	}, true, nil
}

// ReplayAfter is [Ledger.Replay] for a change that has just failed. After a refusal, of which there are many when something
// is sold out, it asks one query unless the change is a repeat: the moves of an applied change are in the journal.
func (l *Ledger) ReplayAfter(ctx context.Context, c Change, failure error) (Receipt, bool, error) {
	if refused := (*Refused)(nil); errors.As(failure, &refused) {
		if applied, err := l.journalled(ctx, c.ID); err != nil || !applied {
			return Receipt{}, false, err
		}
	}
	return l.Replay(ctx, c)
}

// journalled reports whether the journal has a move of a change.
func (l *Ledger) journalled(ctx context.Context, id uuid.UUID) (bool, error) {
	found, err := l.config.Client.Entry.Query().Where(entry.ChangeID(id)).Exist(ctx)
	if err != nil {
		return false, Failure(ctx, err)
	}
	return found, nil
}
