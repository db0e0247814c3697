package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Balance is a number with bounds that several buyers fight over: stock, coupon quota, points, money.
type Balance struct{ ent.Schema }

// Annotations put the referee into the database: whatever a lock, a script or a bug did, the bounds hold.
func (Balance) Annotations() []schema.Annotation {
	return []schema.Annotation{
		entsql.Annotation{Table: "balances", Checks: map[string]string{
			"balance_in_bounds": "amount >= floor AND amount <= ceiling",
		}},
	}
}

// Fields of the Balance.
func (Balance) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(keyLen).NotEmpty().Immutable().Comment(`The key, such as "stock:product:prod_1".`),
		field.String("family").MaxLen(16).Immutable().Comment("STOCK, COUPONS, POINTS or ACCOUNTS."),
		field.Int64("amount"),
		field.Int64("floor"),
		field.Int64("ceiling"),
		field.Int64("opening").Immutable().Comment("The amount before the first entry: amount = opening + sum of deltas."),
		field.Int64("version").Default(0).Comment("Counts writes; lock-shaped providers compare it."),
		field.Int64("applied").Default(0).Comment("Counts moves taken, as seq does in Redis."),
	}
}

// uuidType is how MySQL stores a UUID, for which it has no type.
var uuidType = map[string]string{dialect.MySQL: "char(36)"}

// Indexes of the Balance: reconciliation pages through one family.
func (Balance) Indexes() []ent.Index {
	return []ent.Index{index.Fields("family", "id")}
}

// Entry is one line of the append-only journal: one move of one balance.
type Entry struct{ ent.Schema }

// Annotations of the Entry.
func (Entry) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "entries"}}
}

// Fields of the Entry.
func (Entry) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("balance").MaxLen(keyLen).Immutable(),
		field.UUID("change_id", uuid.UUID{}).SchemaType(uuidType).Immutable(),
		field.Int64("delta").Immutable(),
		field.Int64("amount_after").Immutable(),
		field.Int64("position").Default(0).Immutable().
			Comment("The number of the entry in its balance, from 1; 0 if an earlier version wrote it."),
		field.String("kind").MaxLen(32).Immutable(),
		fixedTimestamp("created_at"),
	}
}

// Indexes of the Entry: a change moves a balance at most once, and statements read one balance in order.
func (Entry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("change_id", "balance").Unique(),
		index.Fields("balance", "id"),
	}
}

// ChangeLog is one applied change: the idempotency record and the transactional outbox in one row. A row of the kind "refused" is
// no change, but keeps one from being applied; see ledger.Refuse.
type ChangeLog struct{ ent.Schema }

// Annotations of the ChangeLog.
func (ChangeLog) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "change_logs"}}
}

// Fields of the ChangeLog.
func (ChangeLog) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("Rises in commit order for changes that share a balance."),
		field.UUID("change_id", uuid.UUID{}).SchemaType(uuidType).Immutable().Unique(),
		field.String("family").MaxLen(16).Immutable(),
		field.String("kind").MaxLen(32).Immutable(),
		field.String("strategy").MaxLen(16).Immutable(),
		field.Text("payload").Immutable().Comment("The record as JSON; relayed to the event topics."),
		field.String("payload_hash").MaxLen(64).Immutable().Comment("Tells a repeat from another request under the same ID."),
		field.String("admission").MaxLen(32).Default("").Immutable().
			Comment("The stream entry that a Redis-first change was persisted from, or the last admission that is refused."),
		fixedTimestamp("created_at"),
		optionalTimestamp("published_at"),
	}
}

// Indexes of the ChangeLog: the relay looks for rows without published_at in order, retention for old ones.
func (ChangeLog) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("published_at", "id"),
		index.Fields("created_at"),
	}
}

// Adjustment is a correction of a balance that an administrator has made by hand. It is kept for as long as the journal.
type Adjustment struct{ ent.Schema }

// Fields of the Adjustment.
func (Adjustment) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.UUID("change_id", uuid.UUID{}).SchemaType(uuidType).Immutable().Unique(),
		field.String("family").MaxLen(16).Immutable(),
		field.String("subject").MaxLen(idLen).Immutable().Comment("The product, the customer whose points they are, or the account."),
		field.String("variant_id").MaxLen(idLen).Optional().Nillable().Immutable().Comment("The variant of the product."),
		field.Int64("delta").Immutable(),
		field.String("reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Default("").Immutable(),
		field.String("administrator").MaxLen(idLen).Immutable().Comment("Who did it."),
		fixedTimestamp("created_at"),
	}
}

// Operation is a mutation that a client has sent under an idempotency key, and that is no single change: the change log knows
// the key of a change. The ID is made of the user, the mutation and the key.
type Operation struct{ ent.Schema }

// Fields of the Operation.
func (Operation) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).SchemaType(uuidType).Immutable(),
		field.String("fingerprint").MaxLen(64).Immutable().Comment("Tells a repeat from another request under the same key."),
		fixedTimestamp("created_at"),
	}
}

// Indexes of the Operation: retention looks for old ones.
func (Operation) Indexes() []ent.Index {
	return []ent.Index{index.Fields("created_at")}
}
