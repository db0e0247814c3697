package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// User is a customer; the ID is the subject of the access token.
type User struct{ ent.Schema }

// Fields of the User.
func (User) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Validate(upTo(MaxName)).Annotations(wide(MaxName)),
		field.JSON("contact", &Contact{}).Optional().Sensitive(),
		fixedTimestamp("created_at"),
	}
}

// Edges of the User.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("orders", Order.Type),
		edge.To("accounts", Account.Type),
		edge.To("coupon_issues", CouponIssue.Type),
		edge.To("addresses", CustomerAddress.Type),
	}
}

// Indexes of the User: the list of all.
func (User) Indexes() []ent.Index { return []ent.Index{index.Fields("created_at", "id")} }

// Account holds money of one currency; its amount is the balance "account:{id}".
type Account struct{ ent.Schema }

// Fields of the Account.
func (Account) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("user_id"),
		field.String("name").Validate(upTo(MaxName)).Annotations(wide(MaxName)),
		currency(),
		fixedTimestamp("created_at"),
	}
}

// Edges of the Account.
func (Account) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("accounts").Field("user_id").Unique().Required().Immutable(),
	}
}

// Transfer is money moved between two accounts.
type Transfer struct{ ent.Schema }

// Fields of the Transfer.
func (Transfer) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("user_id"),
		ref("from_account_id"),
		ref("to_account_id"),
		field.Int64("amount_minor").Positive().Immutable(),
		currency(),
		fixedTimestamp("created_at"),
	}
}

// Indexes of the Transfer: the history of either account.
func (Transfer) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("from_account_id", "created_at"),
		index.Fields("to_account_id", "created_at"),
	}
}
