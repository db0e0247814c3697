package commerce

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	entsql "entgo.io/ent/dialect/sql"

	"holdfast/ent"
	"holdfast/ent/account"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
)

// Statement asks for a page of the journal of one account, or of the stock of one variant.
type Statement struct {
	AccountID string
	VariantID string // "" for an account. For administrators only
	Filter    EntryFilter
	Page      Page
}

// EntryFilter leaves out lines of a journal.
type EntryFilter struct {
	Kinds     string // the kinds of records, such as KindOrderPaid, sorted and separated by commas; "" for all. A filter is a key of caches
	CreatedAt Range
}

// KindsOf returns kinds in the form that an EntryFilter has them.
func KindsOf(kinds ...string) string {
	return textOf(slices.Compact(slices.Sorted(slices.Values(kinds))))
}

// within selects the lines that the filter leaves.
func (f EntryFilter) within(rows *entsql.Selector) {
	if f.Kinds != "" {
		rows.Where(entsql.In(rows.C(entry.FieldKind), anys(strings.Split(f.Kinds, ","))...))
	}
	f.CreatedAt.within(entry.FieldCreatedAt)(rows)
}

// of checks what is asked of a journal.
func (f EntryFilter) of(balance string, page Page) (span, error) {
	if err := f.CreatedAt.check("filter", "createdAt"); err != nil {
		return span{}, err
	}
	return page.of(filtered(journal(balance), f))
}

const (
	// statementsAtOnce bounds the journals of one SQL statement: SQLite takes 500.
	statementsAtOnce = 100
	// entriesAtOnce bounds the parameters of one SQL statement.
	entriesAtOnce = 1000
)

// Statements returns pages of the journals of accounts of the viewer's and of the stock of variants, newest first, with a few queries for
// all of them. The page of an account that does not exist or is another customer's is empty; that of a variant is FORBIDDEN to all but
// administrators. Each page has an error of its own, which is nil or INVALID_INPUT
// of the page, or that of the whole call.
func (s *Accounts) Statements(ctx context.Context, v Viewer, asked []Statement) ([]PageOf[*ent.Entry], []error) {
	pages, errs := make([]PageOf[*ent.Entry], len(asked)), make([]error, len(asked))
	if err := s.statements(ctx, v, asked, pages, errs); err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return pages, errs
}

func (s *Accounts) statements(ctx context.Context, v Viewer, asked []Statement, pages []PageOf[*ent.Entry], errs []error) error {
	if err := v.customer(); err != nil {
		return err
	}
	owned, err := s.owned(ctx, v, asked)
	if err != nil {
		return err
	}
	var parts []journalPart
	for i, one := range asked {
		balance := lockprovider.AccountKey(one.AccountID)
		switch {
		case one.VariantID != "" && !v.Admin:
			errs[i] = ErrForbidden
			continue
		case one.VariantID != "":
			balance = lockprovider.StockKey(one.VariantID)
		case !owned[one.AccountID]:
			continue
		}
		of, err := one.Filter.of(balance, one.Page)
		if err != nil {
			errs[i] = err
			continue
		}
		parts = append(parts, journalPart{statement: i, balance: balance, filter: one.Filter, span: of})
	}
	rows, err := s.journalParts(ctx, parts)
	if err != nil {
		return err
	}
	for j, part := range parts {
		pages[part.statement] = pageOf(rows[j], part.span, entryPosition)
	}
	return nil
}

// owned returns which of the accounts exist and are the viewer's to see.
func (s *Accounts) owned(ctx context.Context, v Viewer, asked []Statement) (map[string]bool, error) {
	var ids []string
	for _, one := range asked {
		if one.AccountID != "" && !padded(one.AccountID) {
			ids = append(ids, one.AccountID)
		}
	}
	slices.Sort(ids)
	owned := map[string]bool{}
	for some := range slices.Chunk(slices.Compact(ids), entriesAtOnce) {
		rows, err := s.Client.Account.Query().Where(account.IDIn(some...)).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			owned[row.ID] = v.may(row.UserID)
		}
	}
	return owned, nil
}

// journalPart is a span of the journal of a balance.
type journalPart struct {
	statement int
	balance   string
	filter    EntryFilter
	span      span
}

// journalParts reads several parts of journals, each in the direction of its span.
func (c *core) journalParts(ctx context.Context, parts []journalPart) ([][]*ent.Entry, error) {
	found := make([][]int64, 0, len(parts))
	for some := range slices.Chunk(parts, statementsAtOnce) {
		ids, err := c.entryIDs(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("read journals: %w", err)
		}
		found = append(found, ids...)
	}
	all := slices.Concat(found...)
	slices.Sort(all)
	byID := map[int64]*ent.Entry{}
	for some := range slices.Chunk(slices.Compact(all), entriesAtOnce) {
		rows, err := c.Client.Entry.Query().Where(entry.IDIn(some...)).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			byID[row.ID] = row
		}
	}
	rows := make([][]*ent.Entry, len(parts))
	for i, ids := range found {
		for _, id := range ids {
			if row := byID[id]; row != nil {
				rows[i] = append(rows[i], row)
			}
		}
	}
	return rows, nil
}

// entryIDs returns the IDs of the entries of each part, in the direction of its span. Each part reads no more rows than it returns,
// which a statement with one condition for all of them could not.
func (c *core) entryIDs(ctx context.Context, parts []journalPart) ([][]int64, error) {
	var text strings.Builder
	var args []any
	for i, part := range parts {
		selected := entsql.Dialect(c.Ledger.Dialect()).Select(entry.FieldID).From(entsql.Table(entry.Table))
		selected.SetTotal(len(args)) // so many parameters come before
		selected.Where(entsql.EQ(selected.C(entry.FieldBalance), part.balance))
		part.filter.within(selected)
		part.span.within(selected)
		part.span.sorted(selected)
		query, values := selected.Limit(part.span.limit()).Query()
		if i > 0 {
			text.WriteString(" UNION ALL ")
		}
		number := strconv.Itoa(i)
		text.WriteString("SELECT " + number + ", id FROM (" + query + ") AS part" + number)
		args = append(args, values...)
	}
	rows, err := c.Client.QueryContext(ctx, text.String(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := make([][]int64, len(parts))
	for rows.Next() {
		var (
			part int
			id   int64
		)
		if err := rows.Scan(&part, &id); err != nil {
			return nil, err
		}
		ids[part] = append(ids[part], id)
	}
	for i, part := range parts { // the rows of a union have no order
		slices.Sort(ids[i])
		if part.span.isDescending() {
			slices.Reverse(ids[i])
		}
	}
	return ids, rows.Err()
}

func anys[T any](values []T) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
}
