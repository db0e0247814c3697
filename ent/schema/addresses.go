package schema

import (
	"log/slog"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Address is where something is sent. It is plain data: a copy of it goes with each order. What
// formats or logs it by itself shows nothing of it; JSON has all of it.
type Address struct {
	Name       string   `json:"name"` // who receives it
	Phone      string   `json:"phone,omitempty"`
	Lines      []string `json:"lines"` // street, house, floor
	City       string   `json:"city"`
	Region     string   `json:"region,omitempty"`
	PostalCode string   `json:"postalCode,omitempty"`
	Country    string   `json:"country"` // ISO 3166-1, two letters
}

// Contact is how somebody can be reached. What formats or logs it by itself shows nothing of it; JSON
// has all of it.
type Contact struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// hidden is what logs show of what belongs to a person.
const hidden = "<sensitive>"

// String hides the address from every log and error that formats it.
func (Address) String() string { return hidden }

// GoString hides the address.
func (Address) GoString() string { return hidden }

// LogValue hides the address.
func (Address) LogValue() slog.Value { return slog.StringValue(hidden) }

// String hides the contact from every log and error that formats it.
func (Contact) String() string { return hidden }

// GoString hides the contact.
func (Contact) GoString() string { return hidden }

// LogValue hides the contact.
func (Contact) LogValue() slog.Value { return slog.StringValue(hidden) }

// CustomerAddress is one address in the address book of a customer.
type CustomerAddress struct{ ent.Schema }

// Annotations of the CustomerAddress.
func (CustomerAddress) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "customer_addresses"}}
}

// Fields of the CustomerAddress.
func (CustomerAddress) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("user_id"),
		field.JSON("address", &Address{}).Sensitive(),
		field.Bool("is_default").Default(false).Comment("True for one address of a customer who has any."),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the CustomerAddress.
func (CustomerAddress) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("addresses").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of the CustomerAddress: the address book of a customer.
func (CustomerAddress) Indexes() []ent.Index {
	return []ent.Index{index.Fields("user_id", "created_at")}
}
