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
		field.Int64("opened_epoch").Default(0).Comment("The last epoch that an instance has opened in Redis."),
		field.Int64("drained_epoch").Default(0).Comment("All epochs before this one are drained: Redis has nothing of them that is not here."),
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

// DatabaseMark tells this database from every other one, and from itself at another time. There is one row.
type DatabaseMark struct{ ent.Schema }

// Fields of the DatabaseMark.
func (DatabaseMark) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("Always 1."),
		field.String("name").MaxLen(idLen).Immutable().Comment("Drawn by the first start. A copy of the database has the same."),
		field.JSON("moments", []string{}).Comment("Drawn every few seconds, and written here and then to Redis; the newest first."),
		timestamp("updated_at"),
	}
}
