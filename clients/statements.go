package clients

import (
	"database/sql/driver"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
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
		r.text.WriteString(before + comparison)
		r.array(values)
		r.text.WriteString(")")
		return after, true
	case strings.HasSuffix(before, values) && strings.HasPrefix(before, insert):
		columns := strings.Count(before[strings.IndexByte(before, '('):], ",") + 1
		arrays := make([][]any, columns)
		for rows := 0; ; rows++ {
			numbers, after := row(rest)
			if len(numbers) != columns || slices.Max(numbers) > len(r.args) {
				return "", false
			}
			for i, n := range numbers {
				arrays[i] = append(arrays[i], r.value(n))
			}
			if rest = strings.TrimPrefix(after, ", ("); rest != after {
				continue
			}
			if rows == 0 || slices.ContainsFunc(arrays, func(values []any) bool { return typeOf(values) == "" }) {
				return "", false // the statement of one row is the same each time
			}
			r.text.WriteString(strings.TrimSuffix(before, "VALUES (") + "SELECT * FROM unnest(")
			for i, values := range arrays {
				if i > 0 {
					r.text.WriteString(", ")
				}
				r.array(values)
				r.text.WriteString("::" + typeOf(values) + "[]")
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
func (r *rewriting) array(values []any) {
	r.add(values)
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

// typeOf returns the type of the array of the values of a column, or "" if that is not known. ent gives a column values of one type,
// and leaves out a column that has none in any row.
func typeOf(values []any) string {
	for _, v := range values {
		switch v.(type) {
		case nil:
			continue
		case time.Time:
			return "timestamptz"
		case uuid.UUID:
			return "uuid"
		}
		switch reflect.TypeOf(v).Kind() {
		case reflect.String:
			return "text"
		case reflect.Bool:
			return "boolean"
		case reflect.Int, reflect.Int64:
			return "bigint"
		default:
			return ""
		}
	}
	return ""
}
