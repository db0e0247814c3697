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
		// The customer's payment method at the gateway, "" if the request has named none. A repeated call of the gateway has to be the same.
		field.String("token").MaxLen(MaxToken).Default("").Immutable().Sensitive(),
		// What the customer needs to confirm it, while it is REQUIRES_ACTION.
		field.String("client_secret").MaxLen(MaxClientSecret).Default("").Sensitive(),
		field.String("redirect_url").MaxLen(MaxRedirectURL).Default("").Sensitive(),
		// When a job looks it up, unless it moves before: null if nothing is to be done for it.
		optionalTimestamp("look_at"),
		field.Int("looks").NonNegative().Default(0).Comment("How often in a row the job has looked it up, and left it as it was."),
		field.String("last_error").MaxLen(500).Default("").Comment("Why the last of these looks has not ended it."),
		optionalTimestamp("matched_at"), // when a reconciliation has found it at the gateway as it is here
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// What the gateway gives the customer to confirm a payment with, in bytes. What is longer is not kept.
const (
	MaxClientSecret = 500
	MaxRedirectURL  = 2000
)

// MaxToken is how long the name of a payment method at the gateway may be, in bytes. Those of Stripe have less than 40.
const MaxToken = 200

// Edges of the PaymentAttempt.
func (PaymentAttempt) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("payment_attempts").Field("order_id").Unique().Immutable(),
	}
}

// Indexes of the PaymentAttempt: the attempts of an order, those that a job looks up, those of a day, and that of a payment of the gateway.
func (PaymentAttempt) Indexes() []ent.Index {
	return []ent.Index{index.Fields("order_id"), index.Fields("look_at"), index.Fields("updated_at"), index.Fields("reference")}
}

// PaymentDrift is a difference between what the payment gateway has taken or given back and what the shop knows of it. There is one row for each kind and
// subject, which is settled when the difference is gone.
type PaymentDrift struct{ ent.Schema }

// Fields of the PaymentDrift.
func (PaymentDrift) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("gateway").MaxLen(idLen).Immutable(),
		field.Enum("kind").Values(PaymentDriftKinds...).Immutable(),
		field.String("subject").MaxLen(maxReference).Immutable().Comment("What differs: an attempt, a refund, or an order; of a refund that is not known here the gateway's ID."),
		field.String("scope").MaxLen(maxReference).Immutable().Comment("What is compared again: the attempt as the gateway names it, or the order."),
		optionalRef("order_id"),
		optionalRef("refund_id"),
		field.String("reference").MaxLen(maxReference).Default("").Comment("The gateway's reference of the payment."),
		field.Int64("shop_minor").Comment("What the shop says."),
		field.Int64("gateway_minor").Comment("What the gateway says."),
		currency(),
		field.Bool("settled").Default(false),
		fixedTimestamp("found_at"),
		timestamp("seen_at"),
	}
}

// PaymentDriftKinds are the kinds of differences.
var PaymentDriftKinds = []string{
	"CAPTURE_UNKNOWN", "CAPTURE_NOT_RECORDED", "CAPTURE_MISSING", "CAPTURE_AMOUNT", "CAPTURE_WITHOUT_ORDER", "ORDER_WITHOUT_CAPTURE",
	"REFUND_UNKNOWN", "REFUND_NOT_RECORDED", "REFUND_MISSING", "REFUND_AMOUNT",
}

// Indexes of the PaymentDrift: what is open, and retention.
func (PaymentDrift) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("kind", "subject", "scope").Unique(), index.Fields("settled", "scope"), index.Fields("seen_at"),
	}
}

// PaymentReconciliation is how far the payments of a gateway were compared. The ID is the name of the gateway.
type PaymentReconciliation struct{ ent.Schema }

// Fields of the PaymentReconciliation.
func (PaymentReconciliation) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(idLen).NotEmpty().Immutable(),
		timestamp("day"), // the beginning of the day that is being compared: those before it are done
		field.Int("phase").NonNegative().Default(0).Comment("0: what the gateway lists; then attempts, refunds and orders."),
		field.String("position").MaxLen(maxReference).Default("").Comment("The last row or cursor of the phase that was compared."),
	}
}
