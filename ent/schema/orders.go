package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Order is a saga over families of balances: stock reserved, coupon spent, payment taken, or all of it given back.
type Order struct{ ent.Schema }

// Fields of the Order.
func (Order) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("user_id"),
		field.Enum("status").Values("PENDING", "PAID", "CANCELLED", "EXPIRED", "FAILED").Default("PENDING"),
		field.Bool("settled").Default(false).
			Comment("False while a step is still owed: payment of a PENDING order, giving back of an ended one, release of one that was counted."),
		field.String("failure_code").MaxLen(64).Default(""),
		field.String("failure_reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Default(""),
		field.Int64("subtotal_minor").NonNegative().Immutable(),
		field.Int64("discount_minor").NonNegative().Immutable(),
		field.Int64("total_minor").NonNegative().Immutable(),
		currency(),
		field.String("coupon_issue_id").MaxLen(idLen).Optional().Nillable().Immutable(),
		field.Int("refund_count").NonNegative().Default(0).
			Comment("How many refunds it has. Their order and the end of the order exclude each other by it."),
		field.Enum("fulfilment").Values("UNFULFILLED", "FULFILLED").Default("UNFULFILLED"),
		optionalTimestamp("fulfilled_at"),
		field.String("tracking").Validate(upTo(MaxTracking)).Annotations(wide(MaxTracking)).Default("").
			Comment("Where the parcel can be followed, as the administrator has written it."),
		field.Bool("coupon_spent").Default(false).Comment("True while the order holds its coupon."),
		field.JSON("shipping_address", &Address{}).Optional().Immutable().Sensitive().Comment("A copy, as the customer has given it with the order."),
		field.JSON("contact", &Contact{}).Optional().Immutable().Sensitive(),
		fixedTimestamp("expires_at"),
		field.Bool("counted").Default(false).
			Comment("True while the order counts as one of its customer that wait for payment. One that was paid or has ended is not settled before."),
		field.Bool("unattended").Default(false).
			Comment("True if no request takes the steps that follow the reservation, because the order came by ticket."),
		// When a job does what is owed, unless a request does it before: at the end of the reservation, at once if the order has
		// ended or is unattended, and after a pause if the job has failed.
		optionalTimestamp("next_attempt_at"),
		field.Int("attempts").NonNegative().Default(0).
			Comment("How often in a row the job has failed to do what is owed."),
		field.String("last_error").MaxLen(500).Default("").Comment("Why the last of these attempts failed."),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Order.
func (Order) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("orders").Field("user_id").Unique().Required().Immutable(),
		edge.To("lines", OrderLine.Type),
		edge.To("payment", Payment.Type).Unique(),
		edge.To("refunds", Refund.Type).Annotations(entsql.OnDelete(entsql.NoAction)),
		edge.To("payment_attempts", PaymentAttempt.Type).Annotations(entsql.OnDelete(entsql.NoAction)),
	}
}

// Indexes of the Order: the history of a customer and of all, what the expiry job has to finish, what it has failed to finish, the
// orders of a day, and those that count as waiting for payment. Where a database can, the last index has these only.
func (Order) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id", "created_at", "id"),
		index.Fields("created_at", "id"),
		index.Fields("settled", "next_attempt_at"),
		index.Fields("settled", "attempts"),
		index.Fields("counted", "user_id").Annotations(entsql.IndexWhere("counted = true")),
	}
}

// OrderLine is one variant of an order at the price of the moment. That the variant exists is no constraint of the database: variants are
// not deleted, and each order would lock another row.
type OrderLine struct{ ent.Schema }

// Annotations of the OrderLine. What came back of it is bounded by the database.
func (OrderLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "order_lines", Checks: map[string]string{
		"order_lines_returned": "returned >= 0 AND returned <= quantity",
	}}}
}

// Fields of the OrderLine.
func (OrderLine) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("order_id"),
		ref("product_id"),
		ref("variant_id"),
		field.String("variant_title").Validate(upTo(MaxVariantTitle)).Annotations(wide(MaxVariantTitle)).Default("").Immutable().
			Comment("The title of the variant when it was ordered; empty if it had no options."),
		field.Int("position").NonNegative().Immutable(),
		field.Int64("quantity").Positive().Immutable(),
		field.Int64("unit_price_minor").NonNegative().Immutable(),
		field.String("limit_balance").MaxLen(keyLen).Optional().Nillable().Immutable().
			Comment("The balance that counts the units against the customer's limit, if the variant had one."),
		field.Int64("returned").Default(0).Comment("How many units came back, or were refunded without."),
	}
}

// Edges of the OrderLine.
func (OrderLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("lines").Field("order_id").Unique().Required().Immutable(),
		edge.From("product", Product.Type).Ref("order_lines").Field("product_id").Unique().Required().Immutable(),
		edge.To("refund_lines", RefundLine.Type).Annotations(entsql.OnDelete(entsql.NoAction)),
	}
}

// Indexes of the OrderLine: those of an order, and those that a balance counts. Where a database can, the last index has no other lines.
func (OrderLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "position").Unique(),
		index.Fields("limit_balance").Annotations(entsql.IndexWhere("limit_balance IS NOT NULL")),
	}
}

// Payment is how an order was paid, and whether it was given back.
type Payment struct{ ent.Schema }

// Annotations of the Payment. What is given back of it is bounded by the database.
func (Payment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Checks: map[string]string{
		"payments_refunds": "refunding_minor >= 0 AND refunded_minor >= 0 AND refunding_minor + refunded_minor <= amount_minor",
	}}}
}

// Fields of the Payment.
func (Payment) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("order_id"),
		field.Enum("method").Values("POINTS", "ACCOUNT", "CARD").Immutable(),
		field.Enum("status").Values("AUTHORIZED", "CAPTURED", "DECLINED", "REFUNDED"),
		field.Int64("amount_minor").NonNegative().Immutable(),
		currency(),
		field.Int64("refunding_minor").Default(0).Comment("What is about to be given back, by refunds that are not complete."),
		field.Int64("refunded_minor").Default(0).Comment("What was given back."),
		optionalRef("account_id"),
		field.String("reference").MaxLen(maxReference).Default("").Comment("The gateway's reference."),
		optionalRef("attempt_id"), // the payment attempt that a payment by card was made by
		field.String("failure_reason").Validate(upTo(MaxReason)).Annotations(wide(MaxReason)).Default(""),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Payment.
func (Payment) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("payment").Field("order_id").Unique().Required().Immutable(),
	}
}

// WebhookEvent is a message of a payment gateway that was received. It is written in the transaction of its effect, so that a message that
// is delivered twice counts once.
type WebhookEvent struct{ ent.Schema }

// Fields of the WebhookEvent.
func (WebhookEvent) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(idLen + 1 + MaxWebhookID).NotEmpty().Immutable().Comment(`Gateway and message: "stripe:evt_1NG8...".`),
		fixedTimestamp("received_at"),
	}
}

// Indexes of the WebhookEvent: retention looks for old ones.
func (WebhookEvent) Indexes() []ent.Index {
	return []ent.Index{index.Fields("received_at")}
}
