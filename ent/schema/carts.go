package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// CartLine is a quantity of one variant in a cart. Prices are not kept: they are looked up when they are shown.
type CartLine struct {
	VariantID string `json:"variantId"`
	ProductID string `json:"productId,omitempty"` // absent in a line from before there were variants
	Quantity  int64  `json:"quantity"`
}

// Cart is what somebody means to buy. Whoever knows its secret has it, until it belongs to a customer. The secret is not kept.
type Cart struct{ ent.Schema }

// Fields of the Cart.
func (Cart) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(idLen).NotEmpty().Immutable().Comment("The SHA-256 of the secret, in hexadecimal digits."),
		optionalRef("user_id"), // the customer to whom it belongs
		field.JSON("lines", []CartLine{}),
		field.Int("version").Default(1).Comment("Counts changes. A change locks the row by it."),
		optionalRef("order_id"), // the order that it was checked out to, which Redis may know before the database does
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Indexes of the Cart: retention looks for those that nobody touches, and a customer who has too many loses the oldest.
func (Cart) Indexes() []ent.Index {
	return []ent.Index{index.Fields("updated_at"), index.Fields("user_id", "updated_at")}
}
