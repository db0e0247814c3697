package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Hold is products that are kept for a customer until a deadline, before there is an order. Their stock is taken when the hold
// begins, and given back when it ends, unless an order takes it over.
type Hold struct{ ent.Schema }

// Fields of the Hold.
func (Hold) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("user_id"),
		field.Enum("status").Values("ACTIVE", "CONSUMED", "RELEASED", "EXPIRED").Default("ACTIVE"),
		timestamp("expires_at"), // an extension moves it
		optionalRef("order_id"), // the order that has taken the units over
		// When the shop ends it: at its deadline, and after a pause if that has failed.
		timestamp("next_attempt_at"),
		field.Int("attempts").NonNegative().Default(0).Comment("How often in a row the shop has failed to end it after its deadline."),
		field.String("last_error").MaxLen(500).Default("").Comment("Why the last of these attempts failed."),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Hold.
func (Hold) Edges() []ent.Edge {
	return []ent.Edge{edge.To("lines", HoldLine.Type).Annotations(entsql.OnDelete(entsql.Cascade))}
}

// Indexes of the Hold: those of a customer, those that are to be ended, those that could not be, and those that ended long ago.
func (Hold) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id", "created_at", "id"),
		index.Fields("status", "next_attempt_at"),
		index.Fields("status", "attempts"),
		index.Fields("status", "updated_at"),
	}
}

// HoldLine is units of one variant that are held.
type HoldLine struct{ ent.Schema }

// Annotations of the HoldLine.
func (HoldLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "hold_lines"}}
}

// Fields of the HoldLine.
func (HoldLine) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("hold_id"),
		ref("product_id"),
		ref("variant_id"),
		field.Int("position").NonNegative().Immutable(),
		field.Int64("quantity").Positive().Immutable(),
		field.String("limit_balance").MaxLen(keyLen).Optional().Nillable().Immutable().
			Comment("The balance that counts the units against the customer's limit, if the variant had one."),
	}
}

// Edges of the HoldLine.
func (HoldLine) Edges() []ent.Edge {
	return []ent.Edge{edge.From("hold", Hold.Type).Ref("lines").Field("hold_id").Unique().Required().Immutable()}
}

// Indexes of the HoldLine: those of a hold, and those that a balance counts. Where a database can, the last index has no other lines.
func (HoldLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("hold_id", "position").Unique(),
		index.Fields("limit_balance").Annotations(entsql.IndexWhere("limit_balance IS NOT NULL")),
	}
}
