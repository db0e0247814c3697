package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Product is something to sell; its stock is the balance "stock:product:{id}".
type Product struct{ ent.Schema }

// Fields of the Product.
func (Product) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("sku").Validate(upTo(MaxSKU)).Annotations(wide(MaxSKU)).NotEmpty().Unique().Immutable(),
		field.String("name").Validate(upTo(MaxProductName)).Annotations(wide(MaxProductName)).NotEmpty(),
		field.String("description").Validate(upTo(MaxDescription)).Annotations(wide(MaxDescription)).Default(""),
		field.Int64("price_minor").NonNegative(),
		currency(),
		field.String("handle").Validate(upTo(MaxHandle)).Annotations(wide(MaxHandle)).Optional().Nillable().Unique().
			Comment("What URLs name the product by. Null for products from before there were handles: theirs is made of the ID."),
		field.String("vendor").Validate(upTo(MaxVendor)).Annotations(wide(MaxVendor)).Default(""),
		field.String("product_type").Validate(upTo(MaxProductType)).Annotations(wide(MaxProductType)).Default(""),
		field.Strings("tags").Optional().Comment("In the order in which they were given; null for none."),
		field.Int("version").Default(1).Comment("Counts updates; productUpdate compares it."),
		field.Int64("imported_stock").NonNegative().Optional().Nillable().
			Comment("The quantity that the last imported file gave: the next file is compared with it."),
		field.Int("imports").Default(0).Comment("Counts changes of imported_stock; an import compares it."),
		field.Int64("limit_quantity").NonNegative().Default(0).
			Comment("How many one customer may order in a period; 0 for no limit."),
		field.Int("limit_hours").NonNegative().Default(0).Comment("How long a period is; 0 if there is one, without an end."),
		optionalTimestamp("archived_at"),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Product.
func (Product) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("order_lines", OrderLine.Type), edge.To("refund_lines", RefundLine.Type),
		edge.To("images", ProductImage.Type), edge.To("category_memberships", ProductCategory.Type),
	}
}

// Indexes of the Product: one for each order of its lists.
func (Product) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"), index.Fields("name", "id"), index.Fields("price_minor", "id"),
	}
}

// SearchDocument is what a search needs of a product: what lists are sorted by, and the words that the product is found by. It is
// written together with the product. Each instance has all of them in its memory, in an index: package commerce/searchindex.
type SearchDocument struct{ ent.Schema }

// Fields of the SearchDocument.
func (SearchDocument) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Comment("What indexes name the product by: shorter than its ID."),
		ref("product_id"),
		field.String("name").Validate(upTo(MaxProductName)).Annotations(wide(MaxProductName)).NotEmpty(),
		field.Int64("price_minor").NonNegative(),
		fixedTimestamp("created_at"),
		field.Bool("archived").Default(false),
		field.Int("version").Comment("The version of the product that this was made of; another one makes it anew."),
		field.Text("words").Comment("The words with a space before each."),
		field.Int64("revision").Default(0).
			Comment("That of the transaction which wrote this. What an instance has not read yet has a greater one than what it has."),
	}
}

// Indexes of the SearchDocument.
func (SearchDocument) Indexes() []ent.Index {
	return []ent.Index{index.Fields("product_id").Unique(), index.Fields("revision")}
}

// SearchRevision counts the transactions that have written search documents. There is one row. A transaction has it locked until its end:
// so revisions are committed in their order, and a reader that sees one sees all before it.
type SearchRevision struct{ ent.Schema }

// Fields of the SearchRevision.
func (SearchRevision) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("Always 1."),
		field.Int64("revision").Default(0),
		field.Int64("token").Default(0).
			Comment("Random, and another one for each revision: after a restore, it tells revisions of the same number apart."),
	}
}

// Coupon is a discount with a limited quota; what is issued is the balance "coupon:issue:{id}".
type Coupon struct{ ent.Schema }

// Fields of the Coupon.
func (Coupon) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Validate(upTo(MaxName)).Annotations(wide(MaxName)).NotEmpty(),
		field.Enum("discount_kind").Values("FIXED", "PERCENT").Immutable(),
		field.Int64("discount_value").Positive().Immutable().Comment("Minor units for FIXED, 1 to 100 for PERCENT."),
		field.Int64("quota").NonNegative().Immutable(),
		field.Int("per_user_limit").Positive().Immutable(),
		optionalTimestamp("valid_from"),
		optionalTimestamp("valid_until"),
		optionalTimestamp("stopped_at"),
		field.Int("version").Default(1).Comment("Counts updates; couponUpdate compares it."),
		fixedTimestamp("created_at"),
	}
}

// Edges of the Coupon.
func (Coupon) Edges() []ent.Edge {
	return []ent.Edge{edge.To("issues", CouponIssue.Type)}
}

// CouponIssue is one coupon in one customer's hand, good for one order.
type CouponIssue struct{ ent.Schema }

// Fields of the CouponIssue.
func (CouponIssue) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("coupon_id"),
		ref("user_id"),
		field.Enum("status").Values("ISSUED", "USED").Default("ISSUED"),
		optionalRef("order_id"),
		fixedTimestamp("issued_at"),
	}
}

// Edges of the CouponIssue.
func (CouponIssue) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("coupon", Coupon.Type).Ref("issues").Field("coupon_id").Unique().Required().Immutable(),
		edge.From("user", User.Type).Ref("coupon_issues").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of the CouponIssue.
func (CouponIssue) Indexes() []ent.Index {
	return []ent.Index{index.Fields("user_id", "issued_at")}
}
