package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// FamilyStrategy is the strategy all live instances agree on for one family of balances.
type FamilyStrategy struct{ ent.Schema }

// Fields of the FamilyStrategy; the ID is the family.
func (FamilyStrategy) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(16).Immutable(),
		field.String("strategy").MaxLen(16),
		field.Bool("fallback").Default(false).Comment("True while the family is served without Redis."),
		field.Int64("epoch").Default(1).Comment("Rises with every switch of the strategy, and to the fallback and back."),
		timestamp("updated_at"),
	}
}

// Instance is one running process, live while its heartbeat is fresh.
type Instance struct{ ent.Schema }

// Fields of the Instance.
func (Instance) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("host").MaxLen(255).Immutable(),
		field.String("address").MaxLen(255).Default("").Comment("Where it answers requests, host and port; empty if it does not."),
		field.JSON("strategies", map[string]string{}).Immutable(),
		fixedTimestamp("started_at"),
		timestamp("heartbeat_at"),
	}
}
