package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// The most of what a product has. Chosen: the cost of a list counts each product as if it had so many.
const (
	MaxTags              = 50
	MaxImages            = 50
	MaxProductCategories = 10
)

// The bounds of the tree of categories. Chosen: an instance has the tree in its memory, and Shopify's own tree of categories is no deeper.
const (
	MaxCategories    = 2000
	MaxCategoryDepth = 8
)

// ProductImage is a picture of a product. The shop stores its URL, not the file.
type ProductImage struct{ ent.Schema }

// Fields of the ProductImage.
func (ProductImage) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("product_id"),
		field.Int("position").NonNegative().Immutable().Comment("Its place among the images of the product, from 0."),
		field.String("url").Validate(upTo(MaxImageURL)).Annotations(wide(MaxImageURL)).NotEmpty().Immutable(),
		field.String("alt_text").Validate(upTo(MaxAltText)).Annotations(wide(MaxAltText)).Default("").Immutable(),
		field.Int("width").Positive().Optional().Nillable().Immutable().Comment("In pixels; null if it is not known."),
		field.Int("height").Positive().Optional().Nillable().Immutable(),
	}
}

// Edges of the ProductImage.
func (ProductImage) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("product", Product.Type).Ref("images").Field("product_id").Unique().Required().Immutable(),
	}
}

// Indexes of the ProductImage.
func (ProductImage) Indexes() []ent.Index {
	return []ent.Index{index.Fields("product_id", "position").Unique()}
}

// Category is a node of the tree by which products are found.
type Category struct{ ent.Schema }

// Annotations of the Category.
func (Category) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "categories"}}
}

// Fields of the Category.
func (Category) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Validate(upTo(MaxName)).Annotations(wide(MaxName)).NotEmpty(),
		field.String("handle").Validate(upTo(MaxHandle)).Annotations(wide(MaxHandle)).NotEmpty().Unique(),
		optionalRef("parent_id"), // null for a category at the top
		field.Int("position").NonNegative().Comment("Categories of one parent are sorted by it, and then by ID."),
		field.Int("version").Default(1).Comment("Counts updates; categoryUpdate compares it."),
		fixedTimestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of the Category.
func (Category) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("children", Category.Type).From("parent").Field("parent_id").Unique(),
		edge.To("memberships", ProductCategory.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// ProductCategory says that a product is in a category.
type ProductCategory struct{ ent.Schema }

// Annotations of the ProductCategory.
func (ProductCategory) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "product_categories"}}
}

// Fields of the ProductCategory.
func (ProductCategory) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		ref("product_id"),
		ref("category_id"),
		field.Int("position").NonNegative().Immutable().Comment("Its place among the categories of the product, from 0."),
	}
}

// Edges of the ProductCategory.
func (ProductCategory) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("product", Product.Type).Ref("category_memberships").Field("product_id").Unique().Required().Immutable(),
		edge.From("category", Category.Type).Ref("memberships").Field("category_id").Unique().Required().Immutable(),
	}
}

// Indexes of the ProductCategory: both ways.
func (ProductCategory) Indexes() []ent.Index {
	return []ent.Index{index.Fields("product_id", "category_id").Unique(), index.Fields("category_id")}
}

// CategoryTree is the lock of the tree of categories. There is one row. A transaction that changes the tree writes the row first, and has
// it locked until its end: so each change is checked against the tree as all changes before have left it, and no two make a cycle.
type CategoryTree struct{ ent.Schema }

// Fields of the CategoryTree.
func (CategoryTree) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("Always 1."),
		field.Int64("token").Default(0).Comment("Random, and another one for each state of the tree: an instance that has read it has the state."),
	}
}
