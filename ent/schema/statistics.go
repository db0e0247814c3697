package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// SalesStatistic is what one product sold on one day, as the events of orders tell it: an order counts when it is paid and
// stops counting when it is refunded.
type SalesStatistic struct{ ent.Schema }

// Fields of the SalesStatistic. They are sums of deltas, which may arrive in any order: for a moment they may be negative.
func (SalesStatistic) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("product_id"),
		field.String("day").MinLen(10).MaxLen(10).Immutable().
			Comment("The UTC day on which the orders were placed, such as 2030-01-31: refunds find it again."),
		field.Int64("orders").Default(0),
		field.Int64("units").Default(0),
		field.Int64("revenue_minor").Default(0).Comment("At the prices of the order lines, before discounts."),
	}
}

// Indexes of the SalesStatistic: its key, and the days since.
func (SalesStatistic) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("product_id", "day").Unique(),
		index.Fields("day"),
	}
}

// StockAlert says whether the stock of a variant is low; the ID is the variant's.
type StockAlert struct{ ent.Schema }

// Fields of the StockAlert.
func (StockAlert) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Bool("low").Default(false),
		field.Int64("threshold").Comment("Low means: at most so many were left."),
		field.Int64("position").Comment("The journal entry that decided: older events that arrive later change nothing."),
		timestamp("since"),
	}
}

// Indexes of the StockAlert: the list of what is low.
func (StockAlert) Indexes() []ent.Index {
	return []ent.Index{index.Fields("low", "since")}
}

// ProcessedEvent says that a handler has taken effect for an event. It is written in the transaction of the effect, so
// that an event that is delivered twice counts once.
type ProcessedEvent struct{ ent.Schema }

// Fields of the ProcessedEvent.
func (ProcessedEvent) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(2 * idLen).NotEmpty().Immutable().Comment(`Handler and event: "sales:6f1c...".`),
		fixedTimestamp("processed_at"),
	}
}

// Indexes of the ProcessedEvent: retention looks for old ones.
func (ProcessedEvent) Indexes() []ent.Index {
	return []ent.Index{index.Fields("processed_at")}
}
