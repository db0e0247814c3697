// Package lazytx marks what a transaction need not send to PostgreSQL at once, so that several statements take one round trip.
//
// The mark is in the context of a single call. Package clients heeds it: a marked statement of a marked transaction waits on the
// connection, and is sent together with the next statement that is not marked, before it, in the order of the calls. The error of a
// marked statement is the error of that next statement. Other databases, and transactions that are not marked themselves, do each
// statement at once.
//
// Only a caller that needs nothing of a statement but its error may mark it.
package lazytx

import "context"

// Mark is what a caller says of a statement.
type Mark struct {
	// Rows is how many rows the statement has to change, if Otherwise is not nil.
	Rows int64
	// Otherwise is the error if it changes another number of rows. Nil if any number is right.
	Otherwise error
}

type key struct{}

// Later is for a transaction, whose BEGIN may then wait, or for an INSERT, UPDATE or DELETE whose result the caller does not need. If
// the statement waits, an INSERT returns no rows, and the number of changed rows is an error.
func Later(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, Mark{}) }

// Expecting is [Later] for a statement that has to change a number of rows. If it waits, its result says that it did. When it has
// changed another number, the statement that it was sent with fails with otherwise, and the transaction cannot be committed.
func Expecting(ctx context.Context, rows int64, otherwise error) context.Context {
	return context.WithValue(ctx, key{}, Mark{Rows: rows, Otherwise: otherwise})
}

// Of returns the mark of a context.
func Of(ctx context.Context) (mark Mark, isMarked bool) {
	mark, isMarked = ctx.Value(key{}).(Mark)
	return mark, isMarked
}
