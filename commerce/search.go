package commerce

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"

	"holdfast/ent"
	"holdfast/ent/searchdocument"
)

// A search reads in one of two ways, whichever is short: it gathers the documents of a rare word and sorts them, or it walks along
// the order of the list until the page is full. Which one is short depends on how frequent the words are, and on where in the order
// the products are that have them; no database knows the latter. So a search takes steps. In each it gathers if a word has few
// postings, or else walks on past few documents, and "few" is searchGrowth times as many as in the step before. So it reads no more
// than some times what the better way reads, and the better way is short for words that are rare, and for words that are frequent.
const (
	// searchStep is how many postings or documents are few in the first step. Reading so many takes a millisecond or two.
	searchStep = 1000
	// searchGrowth was chosen with BenchmarkSearch.
	searchGrowth = 4
	// searchDense bounds how many documents are read in a row for each that is wanted, rather than each of these on its own.
	searchDense = 3
	// maxCandidates is how many words of a search, the longest, may be those that are gathered.
	maxCandidates = 4
)

// beyond is the last character of Unicode, which no word has: words that begin with x are from x to x + beyond.
const beyond = "\U0010ffff"

// search reads the products of a span of a list that have words beginning with each of the words.
func (s *Catalog) search(ctx context.Context, words []string, q ProductQuery, asked span) ([]*ent.Product, error) {
	ids, err := s.searching(words, q, asked).page(ctx)
	if err != nil {
		return nil, fmt.Errorf("search products: %w", err)
	}
	byID, err := s.ProductsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]*ent.Product, len(ids))
	for i, id := range ids {
		if rows[i] = byID[id]; rows[i] == nil {
			return nil, fmt.Errorf("search products: %q has a search document and does not exist", id)
		}
	}
	return rows, nil
}

func (s *Catalog) searching(words []string, q ProductQuery, asked span) *searching {
	return &searching{
		query: s.Client.QueryContext, dialect: s.Ledger.Dialect(), words: words, filter: q.ProductFilter, span: asked, step: s.searchStep,
	}
}

// documentIndexes are the indexes of search documents, by the column that they are sorted by.
var documentIndexes = map[string]string{
	searchdocument.FieldCreatedAt:  "searchdocument_created_at_product_id",
	searchdocument.FieldName:       "searchdocument_name_product_id",
	searchdocument.FieldPriceMinor: "searchdocument_price_minor_product_id",
}

// sortKeyOf returns where a sort key that is read goes to.
func (p *position) sortKeyOf(l listing) any {
	switch l.by {
	case timeAndID:
		return &p.Time
	case textAndID:
		return &p.Text
	default:
		return &p.Number
	}
}

// searching is one search.
type searching struct {
	query   func(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	dialect string
	words   []string
	filter  ProductFilter
	span    span
	step    int
}

// page returns the IDs of the span, in the direction in which it is read.
func (s *searching) page(ctx context.Context) ([]string, error) {
	from, limit := s.span.start(), s.span.limit()
	candidates := slices.Clone(s.words) // the longest first, as it is likely the rarest
	slices.SortStableFunc(candidates, func(a, b string) int { return len(b) - len(a) })
	candidates = candidates[:min(len(candidates), maxCandidates)]
	var found []string
	for few := s.step; ; few *= searchGrowth {
		for _, word := range candidates {
			rare, err := s.isRare(ctx, word, few)
			if err != nil {
				return nil, err
			}
			if rare {
				rest, err := s.gather(ctx, word, few, from, limit-len(found))
				return append(found, rest...), err
			}
		}
		until, more, err := s.skip(ctx, from, few)
		if err != nil {
			return nil, err
		}
		passed, err := s.walk(ctx, from, until, limit-len(found))
		found = append(found, passed...)
		if err != nil || !more || len(found) == limit {
			return found, err
		}
		from = until
	}
}

// isRare reports whether few postings, at most, begin with a word.
func (s *searching) isRare(ctx context.Context, word string, few int) (bool, error) {
	st := s.statement()
	st.text("SELECT " + postingDocument + " FROM " + postingsTable + " WHERE ")
	st.beginning(word)
	st.text(" ORDER BY " + postingWord + ", " + postingDocument + " LIMIT 1 OFFSET " + strconv.Itoa(few))
	rare := true
	err := st.each(ctx, func(*sql.Rows) error {
		rare = false
		return nil
	})
	return rare, err
}

// gather finds the documents of the postings that begin with a rare word, and sorts those that have the other words. If their numbers
// lie close together, as those of products that came in together do, it reads all documents between the least and the greatest one
// after the other, which takes half as long or two thirds (BenchmarkSearch, begin-of-sku). SQLite reads them no faster so.
func (s *searching) gather(ctx context.Context, word string, few int, from *position, limit int) ([]string, error) {
	if s.dialect != dialect.SQLite {
		least, greatest, count, err := s.numbers(ctx, word)
		if err != nil || count == 0 {
			return nil, err
		}
		if greatest-least < searchDense*count {
			return s.gatherInARow(ctx, least, greatest, from, limit)
		}
	}
	st := s.statement()
	// Each database is told to begin with the postings.
	before, behind := "(", ") p CROSS JOIN "+searchdocument.Table+" d ON d.id = p.document_id WHERE "
	switch s.dialect {
	case dialect.Postgres:
		before, behind = searchdocument.Table+" d WHERE d.id = ANY (ARRAY (", ")) AND "
	case dialect.MySQL:
		behind = ") p STRAIGHT_JOIN " + searchdocument.Table + " d ON d.id = p.document_id WHERE "
	}
	st.text("SELECT d.product_id FROM " + before + "SELECT DISTINCT document_id FROM (SELECT document_id FROM " + postingsTable + " WHERE ")
	st.beginning(word)
	// So many are not there, even if some have come since they were counted: the bound is for PostgreSQL, which can only guess.
	st.text(" LIMIT " + strconv.Itoa(2*few+searchStep) + ") r" + behind)
	st.matching(word)
	st.past(from)
	st.ending()
	st.sorted(limit)
	return st.productIDs(ctx)
}

// gatherInARow sorts those of the documents between two numbers that have all words. The database is told to read by the numbers first.
func (s *searching) gatherInARow(ctx context.Context, least, greatest int64, from *position, limit int) ([]string, error) {
	st := s.statement()
	before, behind := searchdocument.Table+" d FORCE INDEX (PRIMARY) WHERE ", " AND "
	if s.dialect == dialect.Postgres {
		before, behind = "(SELECT * FROM "+searchdocument.Table+" WHERE ", " OFFSET 0) d WHERE "
	}
	st.text("SELECT d.product_id FROM " + before + "id >= ")
	st.value(least)
	st.text(" AND id <= ")
	st.value(greatest)
	st.text(behind)
	st.matching("")
	st.past(from)
	st.ending()
	st.sorted(limit)
	return st.productIDs(ctx)
}

// numbers returns the least and the greatest number of the documents that have words beginning with a word, and how many postings
// these have.
func (s *searching) numbers(ctx context.Context, word string) (least, greatest, count int64, err error) {
	st := s.statement()
	st.text("SELECT COALESCE(MIN(" + postingDocument + "), 0), COALESCE(MAX(" + postingDocument + "), 0), COUNT(*) FROM " + postingsTable + " WHERE ")
	st.beginning(word)
	err = st.each(ctx, func(rows *sql.Rows) error { return rows.Scan(&least, &greatest, &count) })
	return least, greatest, count, err
}

// walk looks at documents in their order.
func (s *searching) walk(ctx context.Context, from, until *position, limit int) ([]string, error) {
	st := s.statement()
	st.text("SELECT d.product_id FROM " + s.inOrder() + " WHERE ")
	st.matching("")
	st.past(from)
	st.until(until)
	st.ending()
	st.sorted(limit)
	return st.productIDs(ctx)
}

// skip returns the position a few documents further on, and false if there are not that many.
func (s *searching) skip(ctx context.Context, from *position, few int) (until *position, more bool, err error) {
	st := s.statement()
	st.text("SELECT d." + s.span.column + ", d.product_id FROM " + s.inOrder() + " WHERE 1 = 1")
	st.past(from)
	st.ending()
	st.sorted(1)
	st.text(" OFFSET " + strconv.Itoa(few-1))
	err = st.each(ctx, func(rows *sql.Rows) error {
		until, more = new(position), true
		return rows.Scan(until.sortKeyOf(s.span.listing), &until.ID)
	})
	return until, more, err
}

// inOrder is the table of documents, as d, to be read along the order of the list.
func (s *searching) inOrder() string {
	if s.dialect == dialect.MySQL {
		return searchdocument.Table + " d FORCE INDEX (" + documentIndexes[s.span.column] + ")"
	}
	return searchdocument.Table + " d"
}

// statement is an SQL statement that is being written. Values are always parameters.
type statement struct {
	*searching
	sql  strings.Builder
	args []any
}

func (s *searching) statement() *statement { return &statement{searching: s} }

func (st *statement) text(sql string) { st.sql.WriteString(sql) }

// value adds a parameter.
func (st *statement) value(value any) {
	st.args = append(st.args, value)
	if st.dialect == dialect.Postgres {
		st.text("$" + strconv.Itoa(len(st.args)))
		return
	}
	st.text("?")
}

// beginning selects the postings whose words begin with a word.
func (st *statement) beginning(word string) {
	st.text(postingWord + " >= ")
	st.value(word)
	st.text(" AND " + postingWord + " < ")
	st.value(word + beyond)
}

// matching selects the documents that the list shows, and that have words beginning with all words but one.
func (st *statement) matching(but string) {
	if st.filter.IncludeArchived {
		st.text("1 = 1")
	} else {
		st.text("NOT d." + searchdocument.FieldArchived)
	}
	if least := st.filter.MinPrice; least != nil {
		st.text(" AND d." + searchdocument.FieldPriceMinor + " >= ")
		st.value(*least)
	}
	if most := st.filter.MaxPrice; most != nil {
		st.text(" AND d." + searchdocument.FieldPriceMinor + " <= ")
		st.value(*most)
	}
	if available := st.filter.Available; available != nil {
		st.text(" AND " + inStock(st.dialect, "d."+searchdocument.FieldProductID, *available))
	}
	in := "instr"
	if st.dialect == dialect.Postgres {
		in = "strpos"
	}
	for _, word := range st.words {
		if word != but {
			st.text(" AND " + in + "(d." + searchdocument.FieldWords + ", ")
			st.value(" " + word)
			st.text(") > 0")
		}
	}
}

// past selects the documents behind a position, until those up to it and with it, ending those before the end of the span. What is
// behind is so in the direction in which the span is read. The first of the two conditions on the sort key is what an index can begin
// with.
func (st *statement) past(from *position) { st.beside(from, !st.span.isDescending(), false) }

func (st *statement) until(last *position) { st.beside(last, st.span.isDescending(), true) }

func (st *statement) ending() { st.beside(st.span.end(), st.span.isDescending(), false) }

func (st *statement) beside(at *position, greater, with bool) {
	if at == nil {
		return
	}
	than := " <"
	if greater {
		than = " >"
	}
	key, thanID := "d."+st.span.column, than
	if with {
		thanID += "="
	}
	st.text(" AND " + key + than + "= ")
	st.value(at.key(st.span.listing))
	st.text(" AND (" + key + than + " ")
	st.value(at.key(st.span.listing))
	st.text(" OR d." + searchdocument.FieldProductID + thanID + " ")
	st.value(at.ID)
	st.text(")")
}

func (st *statement) sorted(limit int) {
	direction := ""
	if st.span.isDescending() {
		direction = " DESC"
	}
	st.text(" ORDER BY d." + st.span.column + direction + ", d." + searchdocument.FieldProductID + direction +
		" LIMIT " + strconv.Itoa(limit))
}

// each runs the statement and calls scan for each row.
func (st *statement) each(ctx context.Context, scan func(*sql.Rows) error) error {
	rows, err := st.query(ctx, st.sql.String(), st.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// productIDs runs a statement that selects IDs.
func (st *statement) productIDs(ctx context.Context) ([]string, error) {
	var list []string
	err := st.each(ctx, func(rows *sql.Rows) error {
		var one string
		err := rows.Scan(&one)
		list = append(list, one)
		return err
	})
	return list, err
}
