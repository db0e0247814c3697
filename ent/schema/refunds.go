package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Refund is what an administrator gives back of a paid order: money, products, or both. Its row is committed before anything is given back,
// and its ID is the idempotency key at the payment gateway.
type Refund struct{ ent.Schema }

// Fields of the Refund.
func (Refund) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("order_id"),
		field.Enum("method").Values("POINTS", "ACCOUNT", "CARD").Immutable().Comment("How the order was paid."),
		field.Enum("status").Values("REFUNDING", "REFUNDED", "FAILED", "UNKNOWN").
			Comment("How far the money has come. It is REFUNDED from the start if there is none to give back."),
		field.Int64("amount_minor").NonNegative().Immutable(),
		currency(),
		field.String("attempt_id").MaxLen(idLen).Optional().Nillable().Immutable().Comment("The payment attempt that it gives back a part of."),
		field.Bool("restock").Immutable().Comment("True if the units of its lines are put back into stock."),
		optionalTimestamp("restocked_at"), // when they were
		field.String("reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Immutable(),
		field.String("administrator").MaxLen(idLen).Immutable().Comment("Who did it."),
		field.String("failure_reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Default(""),
		// When a job goes on with it, unless it is complete before: null if nothing is to be done for it.
		optionalTimestamp("look_at"),
		field.Int("looks").NonNegative().Default(0).Comment("How often in a row the job has failed to complete it."),
		field.String("last_error").MaxLen(500).Default("").Comment("Why the last of these attempts failed."),
		optionalTimestamp("matched_at"), // when a reconciliation has found it at the gateway
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Refund.
func (Refund) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("refunds").Field("order_id").Unique().Required().Immutable(),
		edge.To("lines", RefundLine.Type),
	}
}

// Indexes of the Refund: the refunds of an order, those that a job goes on with, and those of a day.
func (Refund) Indexes() []ent.Index {
	return []ent.Index{index.Fields("order_id"), index.Fields("look_at"), index.Fields("updated_at")}
}

// RefundLine is units of one line of the order that come back.
type RefundLine struct{ ent.Schema }

// Annotations of the RefundLine.
func (RefundLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "refund_lines"}}
}

// Fields of the RefundLine.
func (RefundLine) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("refund_id"),
		field.Int64("order_line_id").Immutable(),
		ref("product_id"),
		ref("variant_id"),
		field.Int64("quantity").Positive().Immutable(),
		field.Int64("amount_minor").NonNegative().Immutable().Comment("What is given back for these units."),
	}
}

// Edges of the RefundLine.
func (RefundLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("refund", Refund.Type).Ref("lines").Field("refund_id").Unique().Required().Immutable(),
		edge.From("order_line", OrderLine.Type).Ref("refund_lines").Field("order_line_id").Unique().Required().Immutable(),
		edge.From("product", Product.Type).Ref("refund_lines").Field("product_id").Unique().Required().Immutable(),
	}
}

// Indexes of the RefundLine.
func (RefundLine) Indexes() []ent.Index {
	return []ent.Index{index.Fields("refund_id", "order_line_id").Unique()}
}
