package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// maxReference bounds the reference of a payment at its gateway.
const maxReference = 255

// PaymentAttempt is one attempt to take money by the payment gateway, for an order or for points. Its row is committed before the gateway
// is asked, and its ID is the idempotency key there.
type PaymentAttempt struct{ ent.Schema }

// Annotations of the PaymentAttempt. An attempt pays for an order, or for points of a customer.
func (PaymentAttempt) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "payment_attempts", Checks: map[string]string{
		"payment_attempts_subject": "order_id IS NOT NULL AND user_id IS NULL AND points IS NULL AND credited_at IS NULL OR " +
			"order_id IS NULL AND open_order_id IS NULL AND user_id IS NOT NULL AND points IS NOT NULL AND points > 0",
	}}}
}

// Fields of the PaymentAttempt.
func (PaymentAttempt) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("order_id").MaxLen(idLen).Optional().Nillable().Immutable().Comment("The order that it pays for, or null."),
		field.String("open_order_id").MaxLen(idLen).Optional().Nillable().Unique().
			Comment("The order, for as long as the attempt may still pay it: an order has one such attempt at a time."),
		field.String("user_id").MaxLen(idLen).Optional().Nillable().Immutable().Comment("The customer who buys points, or null."),
		field.Int64("points").Optional().Nillable().Immutable().Comment("How many points it pays for, or null."),
		optionalTimestamp("credited_at"), // when these points were added: such an attempt is not given back
		field.String("gateway").MaxLen(idLen).Immutable(),
		field.Enum("status").Values("CREATED", "AUTHORIZING", "REQUIRES_ACTION", "AUTHORIZED", "CAPTURING", "CAPTURED",
			"REFUNDING", "REFUNDED", "DECLINED", "VOIDING", "VOIDED", "UNKNOWN"),
		field.Int64("amount_minor").Positive().Immutable(),
		currency(),
		field.String("reference").MaxLen(maxReference).Default("").Comment("The gateway's reference, empty before its first answer."),
		field.String("reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Default("").
			Comment("Why it was declined or given back."),
		// What the customer needs to confirm it, while it is REQUIRES_ACTION.
		field.String("client_secret").MaxLen(MaxClientSecret).Default("").Sensitive(),
		field.String("redirect_url").MaxLen(MaxRedirectURL).Default("").Sensitive(),
		// When a job looks it up, unless it moves before: null if nothing is to be done for it.
		optionalTimestamp("look_at"),
		field.Int("looks").NonNegative().Default(0).Comment("How often in a row the job has looked it up, and left it as it was."),
		field.String("last_error").MaxLen(500).Default("").Comment("Why the last of these looks has not ended it."),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// What the gateway gives the customer to confirm a payment with, in bytes. What is longer is not kept.
const (
	MaxClientSecret = 500
	MaxRedirectURL  = 2000
)

// Edges of the PaymentAttempt.
func (PaymentAttempt) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("payment_attempts").Field("order_id").Unique().Immutable(),
	}
}

// Indexes of the PaymentAttempt: the attempts of an order, and those that a job looks up.
func (PaymentAttempt) Indexes() []ent.Index {
	return []ent.Index{index.Fields("order_id"), index.Fields("look_at")}
}
