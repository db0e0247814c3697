// Package schema declares the tables of holdfast.
//
// Two kinds of rows live here. Balance, Entry and ChangeLog are what the concurrency strategies fight over and prove
// themselves on; everything else (products, orders, coupons, accounts, ...) says what those numbers mean.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"
)

// idLen bounds every string identifier, so that MySQL can index it.
const idLen = 64

// keyLen bounds a balance key: "coupon:user:" and two identifiers.
const keyLen = 160

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
