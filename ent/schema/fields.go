// Package schema declares the tables of holdfast.
//
// Two kinds of rows live here. Balance, Entry and ChangeLog are what the concurrency strategies fight over and prove
// themselves on; everything else (products, orders, coupons, accounts, ...) says what those numbers mean.
package schema

import (
	"fmt"
	"time"
	"unicode/utf8"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
)

// idLen bounds every string identifier, so that MySQL can index it.
const idLen = 64

// keyLen bounds a balance key: "coupon:user:" and two identifiers.
const keyLen = 160

// The most characters of what people write. Whoever takes such a text from outside refuses or cuts what is longer; the schema
// makes sure of it. A character is a Unicode code point: so count all three databases.
const (
	MaxSKU         = 255 // as in Shopify; all three databases can index it
	MaxName        = 200
	MaxProductName = 600 // Shopify's longest title and some options; PostgreSQL and InnoDB can still index it
	MaxDescription = 2000
	MaxReason      = 500
	MaxHandle      = 255
	MaxVendor      = 255 // as in Shopify; so are the next two
	MaxProductType = 255
	MaxTag         = 255
	MaxImageURL    = 2048
	MaxAltText     = 512
	MaxJobError    = 1000
	MaxTracking    = 500 // a link, or a carrier and a number
	MaxOption      = 255 // the name of an option, or a value, as in Shopify

	MaxAddressLine = 200
	MaxCity        = 100
	MaxRegion      = 100
	MaxPostalCode  = 20
	MaxPhone       = 40
	MaxEmail       = 254 // RFC 5321 allows paths of 256 with their brackets
)

// MaxOptions is the most options of a product, as in Shopify.
const MaxOptions = 3

// TitleSeparator is between the option values of the title of a variant.
const TitleSeparator = " / "

// MaxVariantTitle is the most characters of the title of a variant.
const MaxVariantTitle = MaxOptions*MaxOption + (MaxOptions-1)*len(TitleSeparator)

// MaxAddressLines is the most lines of an address, besides name, city, region, postal code and country.
const MaxAddressLines = 3

// MaxWebhookID is the most bytes of the ID of a gateway's message. It is chosen: those of Stripe have about 30.
const MaxWebhookID = 255

// upTo bounds a text in characters, whereas ent's MaxLen counts bytes.
func upTo(characters int) func(string) error {
	return func(text string) error {
		if n := utf8.RuneCountInString(text); n > characters {
			return fmt.Errorf("%d characters, at most %d", n, characters)
		}
		return nil
	}
}

// wide is the size of the column of a text that is bounded by upTo.
func wide(characters int) entsql.Annotation { return entsql.Annotation{Size: int64(characters)} }

// microseconds keeps times precise in all three databases; MySQL's default would cut them to seconds.
var microseconds = map[string]string{dialect.MySQL: "datetime(6)"}

func timestamp(name string) ent.Field {
	return field.Time(name).SchemaType(microseconds).Default(now)
}

func fixedTimestamp(name string) ent.Field {
	return field.Time(name).SchemaType(microseconds).Default(now).Immutable()
}

func optionalTimestamp(name string) ent.Field {
	return field.Time(name).SchemaType(microseconds).Optional().Nillable()
}

// now is UTC in microseconds, so that a value read back equals the value written.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// id is a type-prefixed identifier such as "prod_1", which is also the entity's global GraphQL ID.
func id() ent.Field { return field.String("id").MaxLen(idLen).NotEmpty().Immutable() }

func ref(name string) ent.Field { return field.String(name).MaxLen(idLen).NotEmpty().Immutable() }

func optionalRef(name string) ent.Field {
	return field.String(name).MaxLen(idLen).Optional().Nillable()
}

func currency() ent.Field { return field.String("currency").MinLen(3).MaxLen(3).Immutable() }
