package ledger

import (
	"context"

	"entgo.io/ent/dialect"
)

// awaitStandby is a statement whose commit waits for the synchronous standbys of PostgreSQL, if there are any, and so for all
// that was committed before it. A commit that wrote nothing would not wait.
const awaitStandby = "SELECT pg_logical_emit_message(true, 'holdfast', ''::text) WHERE current_setting('synchronous_standby_names') <> ''"

// Replicated returns when all that the database shows would survive the promotion of a synchronous standby. A commit that waits
// for its standby is not to be seen. But when something ends the wait (a client that gave it up, an administrator, a crash),
// PostgreSQL shows the commit like every other, and the standby may never have heard of it. Who is told of a change because it is
// there must not be told too early. The error is [ErrUnknown].
func (l *Ledger) Replicated(ctx context.Context) error {
	if l.config.Dialect != dialect.Postgres {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, l.config.Settings.CommitTimeout)
	defer cancel()
	if _, err := l.config.Client.ExecContext(bounded, awaitStandby); err != nil {
		return Unknown("whether a standby has the change", err)
	}
	return nil
}
