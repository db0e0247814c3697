package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Product is something to sell, in one variant or in several. SKU, prices and limit of a product are a summary of its variants. It is written
// together with them, so that lists need not read them.
type Product struct{ ent.Schema }

// Fields of the Product.
func (Product) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("sku").Validate(upTo(MaxSKU)).Annotations(wide(MaxSKU)).NotEmpty().
			Comment("That of the first variant on sale; of the first one if none is."),
		field.String("name").Validate(upTo(MaxProductName)).Annotations(wide(MaxProductName)).NotEmpty(),
		field.String("description").Validate(upTo(MaxDescription)).Annotations(wide(MaxDescription)).Default(""),
		field.Strings("options").Optional().Comment("The names of its options, in their order; none if it has one variant without options."),
		field.Int64("price_minor").NonNegative().Comment("The lowest price of the variants on sale."),
		field.Int64("max_price_minor").NonNegative().Comment("The highest price of the variants on sale."),
		currency(),
		field.String("handle").Validate(upTo(MaxHandle)).Annotations(wide(MaxHandle)).Optional().Nillable().Unique().
			Comment("What URLs name the product by. Null for products from before there were handles: theirs is made of the ID."),
		field.String("vendor").Validate(upTo(MaxVendor)).Annotations(wide(MaxVendor)).Default(""),
		field.String("product_type").Validate(upTo(MaxProductType)).Annotations(wide(MaxProductType)).Default(""),
		field.Strings("tags").Optional().Comment("In the order in which they were given; null for none."),
		field.Int("variant_count").NonNegative().Default(1).Comment("How many variants are on sale, if the product is."),
		field.Int("version").Default(1).Comment("Counts updates, those of the variants, too; productUpdate compares it."),
		field.Int64("limit_quantity").NonNegative().Default(0).Comment("That of the only variant on sale; 0 if there are several."),
		field.Int("limit_hours").NonNegative().Default(0).Comment("That of the only variant on sale."),
		optionalTimestamp("archived_at"),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Product.
func (Product) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("variants", ProductVariant.Type).Annotations(entsql.OnDelete(entsql.NoAction)),
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

// ProductVariant is what is sold of a product: its stock is a balance, whose key lockprovider.StockKey makes of the ID of the variant.
// The first variant of a product has the ID of the product, with another prefix.
type ProductVariant struct{ ent.Schema }

// Annotations of the ProductVariant.
func (ProductVariant) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "product_variants"}}
}

// Fields of the ProductVariant.
func (ProductVariant) Fields() []ent.Field {
	return []ent.Field{
		id(),
		ref("product_id"),
		field.String("sku").Validate(upTo(MaxSKU)).Annotations(wide(MaxSKU)).NotEmpty().Unique().Immutable(),
		field.Strings("option_values").Optional().Comment("One for each option of the product, in their order."),
		field.String("combination").MaxLen(idLen).Default("").
			Comment("Stands for the option values, whatever their case, since an index cannot have them; empty if there are none."),
		field.Int64("price_minor").NonNegative(),
		currency(),
		field.Int("position").NonNegative().Comment("Its place among the variants of the product, from 0."),
		field.Int64("imported_stock").NonNegative().Optional().Nillable().
			Comment("The quantity that the last imported file gave: the next file is compared with it."),
		field.Int("imports").Default(0).Comment("Counts changes of imported_stock; an import compares it."),
		field.Int64("limit_quantity").NonNegative().Default(0).
			Comment("How many one customer may order in a period; 0 for no limit."),
		field.Int("limit_hours").NonNegative().Default(0).Comment("How long a period is; 0 if there is one, without an end."),
		field.Int("version").Default(1).Comment("Counts updates; productVariantUpdate compares it."),
		optionalTimestamp("archived_at"),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the ProductVariant.
func (ProductVariant) Edges() []ent.Edge {
	return []ent.Edge{edge.From("product", Product.Type).Ref("variants").Field("product_id").Unique().Required().Immutable()}
}

// Indexes of the ProductVariant: no two of a product have the same option values.
func (ProductVariant) Indexes() []ent.Index {
	return []ent.Index{index.Fields("product_id", "combination").Unique()}
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
		field.Text("other_prices").Optional().Comment("The other prices of the variants on sale, in minor units, with a space before each."),
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
