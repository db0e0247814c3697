package clients

import (
	"database/sql/driver"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// sameForAny returns a statement of PostgreSQL that does what a statement of ent does, and has the same text for any number of values:
// each column of an INSERT of several rows is one array, and so is a list of IN. Otherwise, each number of rows or values would be
// another statement, which the server would have to parse and plan, and which would take a place in the cache of each connection.
//
// A statement that ent does not write in this form stays as it is.
func sameForAny(query string, args []driver.NamedValue) (string, []driver.NamedValue) {
	if len(args) == 0 || !strings.Contains(query, in) && !strings.Contains(query, values) {
		return query, args
	}
	r := rewriting{args: args, places: make([]int, len(args)+1)}
	for at := 0; ; {
		next := strings.IndexByte(query[at:], '$')
		if next < 0 {
			r.text.WriteString(query[at:])
			return r.text.String(), r.rewritten
		}
		before := query[at : at+next]
		at += next
		if rest, done := r.list(before, query[at:]); done {
			at = len(query) - len(rest)
			continue
		}
		r.text.WriteString(before)
		n, rest := placeholder(query[at:])
		if n < 1 || n > len(args) {
			return query, args // no placeholder
		}
		r.place(n)
		at = len(query) - len(rest)
	}
}

// What stands before the first placeholder of a list and of the rows of an INSERT, and how an INSERT begins.
const in, values, insert = " IN (", ") VALUES (", "INSERT INTO "

// rewriting is a statement that is being rewritten.
type rewriting struct {
	text      strings.Builder
	args      []driver.NamedValue
	rewritten []driver.NamedValue
	places    []int // by the number of a placeholder before, its number now, or 0
}

// place writes a placeholder for what was the argument n.
func (r *rewriting) place(n int) {
	if r.places[n] == 0 {
		r.add(r.args[n-1].Value)
		r.places[n] = len(r.rewritten)
	}
	r.text.WriteString("$" + strconv.Itoa(r.places[n]))
}

func (r *rewriting) add(value any) {
	r.rewritten = append(r.rewritten, driver.NamedValue{Ordinal: len(r.rewritten) + 1, Value: value})
}

// list rewrites the list or the rows that begin at rest, and returns what follows them. It does nothing unless it knows their form.
func (r *rewriting) list(before, rest string) (after string, done bool) {
	switch {
	case strings.HasSuffix(before, in):
		numbers, after := row(rest)
		if len(numbers) == 0 || slices.Min(numbers) == null || slices.Max(numbers) > len(r.args) {
			return "", false
		}
		comparison := " = ANY("
		if before = strings.TrimSuffix(before, in); strings.HasSuffix(before, " NOT") {
			before, comparison = strings.TrimSuffix(before, " NOT"), " <> ALL("
		}
		values := make([]any, len(numbers))
		for i, n := range numbers {
			values[i] = r.value(n)
		}
		array, typ := arrayOf(values)
		if typ == "" {
			return "", false
		}
		r.text.WriteString(before + comparison)
		r.array(array)
		r.text.WriteString(")")
		return after, true
	case strings.HasSuffix(before, values) && strings.HasPrefix(before, insert):
		columns := strings.Count(before[strings.IndexByte(before, '('):], ",") + 1
		lists := make([][]any, columns)
		for rows := 0; ; rows++ {
			numbers, after := row(rest)
			if len(numbers) != columns || slices.Max(numbers) > len(r.args) {
				return "", false
			}
			for i, n := range numbers {
				lists[i] = append(lists[i], r.value(n))
			}
			if rest = strings.TrimPrefix(after, ", ("); rest != after {
				continue
			}
			if rows == 0 {
				return "", false // the statement of one row is the same each time
			}
			arrays, types := make([]any, columns), make([]string, columns)
			for i, values := range lists {
				if arrays[i], types[i] = arrayOf(values); types[i] == "" {
					return "", false
				}
			}
			// RETURNING must give the rows in the order of the arrays: ent takes the identifiers of new rows by their places. PostgreSQL
			// does it, as it does for rows that are written out, because a plan of one function has no reason to sort. Its manual does not
			// promise either.
			r.text.WriteString(strings.TrimSuffix(before, "VALUES (") + "SELECT * FROM unnest(")
			for i, array := range arrays {
				if i > 0 {
					r.text.WriteString(", ")
				}
				r.array(array)
				r.text.WriteString("::" + types[i] + "[]")
			}
			r.text.WriteString(")")
			return after, true
		}
	}
	return "", false
}

// value returns the argument n, nil for NULL.
func (r *rewriting) value(n int) any {
	if n == null {
		return nil
	}
	return r.args[n-1].Value
}

// array writes a placeholder for an array.
func (r *rewriting) array(array any) {
	r.add(array)
	r.text.WriteString("$" + strconv.Itoa(len(r.rewritten)))
}

// null stands for NULL among the numbers of placeholders.
const null = 0

// row reads placeholders and NULLs up to a parenthesis that closes, and returns what follows it; none if there is anything else.
func row(text string) (numbers []int, after string) {
	for {
		n, rest := placeholder(text)
		if n == null {
			var isNull bool
			if rest, isNull = strings.CutPrefix(text, "NULL"); !isNull {
				return nil, ""
			}
		}
		numbers = append(numbers, n)
		if after, closed := strings.CutPrefix(rest, ")"); closed {
			return numbers, after
		}
		if text = strings.TrimPrefix(rest, ", "); text == rest {
			return nil, ""
		}
	}
}

// placeholder reads the number of a placeholder; 0 if there is none.
func placeholder(text string) (n int, after string) {
	if text == "" || text[0] != '$' {
		return 0, text
	}
	for i := 1; i < len(text); i++ {
		digit := text[i] - '0'
		if digit > 9 {
			return n, text[i:]
		}
		n = 10*n + int(digit)
	}
	return n, ""
}

// arrayOf returns the array of the values of a column, of which nil is NULL, and the type of its elements: "" if it knows none. ent
// gives a column values of one type, and leaves out a column that has none in any row.
//
// The elements are of types that pgx knows by themselves: with default_query_exec_mode=exec or simple_protocol, it does not ask the
// server for the type of a parameter.
func arrayOf(values []any) (array any, typ string) {
	first := slices.IndexFunc(values, func(v any) bool { return v != nil })
	if first < 0 {
		return nil, ""
	}
	switch v := values[first].(type) {
	case time.Time:
		return elements(values, "timestamptz", func(v any) (pgtype.Timestamptz, bool) {
			t, ok := v.(time.Time)
			return pgtype.Timestamptz{Time: t, Valid: true}, ok
		})
	case uuid.UUID:
		return elements(values, "uuid", func(v any) (pgtype.UUID, bool) {
			id, ok := v.(uuid.UUID)
			return pgtype.UUID{Bytes: id, Valid: true}, ok
		})
	case driver.Valuer:
		return nil, "" // what it is in the database is its own affair
	default:
		switch kind := reflect.TypeOf(v).Kind(); kind {
		case reflect.String:
			return elements(values, "text", func(v any) (pgtype.Text, bool) {
				s := reflect.ValueOf(v)
				return pgtype.Text{String: s.String(), Valid: true}, s.Kind() == kind
			})
		case reflect.Bool:
			return elements(values, "boolean", func(v any) (pgtype.Bool, bool) {
				b, ok := v.(bool)
				return pgtype.Bool{Bool: b, Valid: true}, ok
			})
		case reflect.Int, reflect.Int64:
			return elements(values, "bigint", func(v any) (pgtype.Int8, bool) {
				n := reflect.ValueOf(v)
				if !n.CanInt() {
					return pgtype.Int8{}, false
				}
				return pgtype.Int8{Int64: n.Int(), Valid: true}, true
			})
		default:
			return nil, ""
		}
	}
}

// elements returns the values of an array of a type, or no type if one of them is not of it.
func elements[T any](values []any, typ string, of func(any) (T, bool)) (array any, _ string) {
	list := make([]T, len(values)) // the zero value of T is NULL
	for i, v := range values {
		if v == nil {
			continue
		}
		var ok bool
		if list[i], ok = of(v); !ok {
			return nil, ""
		}
	}
	return list, typ
}
