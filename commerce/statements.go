package commerce

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"

	"holdfast/ent"
	"holdfast/ent/account"
	"holdfast/ent/entry"
	"holdfast/lockprovider"
)

// Statement asks for a page of the journal of one account.
type Statement struct {
	AccountID string
	Page      Page
}

const (
	// statementsAtOnce bounds the journals of one SQL statement: SQLite takes 500.
	statementsAtOnce = 100
	// entriesAtOnce bounds the parameters of one SQL statement.
	entriesAtOnce = 1000
)

// Statements returns pages of the journals of accounts of the viewer's, newest first, with a few queries for all of them. The page of
// an account that does not exist or is another customer's is empty. Each page has an error of its own, which is nil or INVALID_INPUT
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
	listings, parts := make([]listing, len(asked)), []journalPart{}
	for i, one := range asked {
		if !owned[one.AccountID] {
			continue
		}
		balance := lockprovider.AccountKey(one.AccountID)
		listings[i] = journal(balance)
		from, err := one.Page.from(listings[i])
		if err != nil {
			errs[i] = err
			continue
		}
		part := journalPart{of: i, balance: balance, limit: one.Page.First + 1}
		if from != nil {
			part.before = from.Number
		}
		parts = append(parts, part)
	}
	rows, err := s.journalParts(ctx, parts)
	if err != nil {
		return err
	}
	for j, part := range parts {
		pages[part.of] = pageOf(rows[j], part.limit-1, listings[part.of], entryPosition)
	}
	return nil
}

// owned returns which of the accounts exist and are the viewer's to see.
func (s *Accounts) owned(ctx context.Context, v Viewer, asked []Statement) (map[string]bool, error) {
	var ids []string
	for _, one := range asked {
		if !padded(one.AccountID) {
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

// journalPart is the newest entries of a balance before an ID; 0 stands for all.
type journalPart struct {
	of      int
	balance string
	before  int64
	limit   int
}

// journalParts reads several parts of journals, the newest entries first.
func (c *core) journalParts(ctx context.Context, parts []journalPart) ([][]*ent.Entry, error) {
	var ids []int64
	for some := range slices.Chunk(parts, statementsAtOnce) {
		found, err := c.entryIDs(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("read journals: %w", err)
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	journals := map[string][]*ent.Entry{}
	for some := range slices.Chunk(slices.Compact(ids), entriesAtOnce) {
		rows, err := c.Client.Entry.Query().Where(entry.IDIn(some...)).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			journals[row.Balance] = append(journals[row.Balance], row)
		}
	}
	for _, journal := range journals {
		slices.SortFunc(journal, func(a, b *ent.Entry) int { return int(b.ID - a.ID) })
	}
	// What other parts have found of the same journal lies behind a part, unless it belongs to the part as well.
	rows := make([][]*ent.Entry, len(parts))
	for i, part := range parts {
		for _, row := range journals[part.balance] {
			if (part.before == 0 || row.ID < part.before) && len(rows[i]) < part.limit {
				rows[i] = append(rows[i], row)
			}
		}
	}
	return rows, nil
}

// entryIDs returns the IDs of the entries of all parts. Each part reads no more rows than it returns, which a statement with one
// condition for all of them could not.
func (c *core) entryIDs(ctx context.Context, parts []journalPart) ([]int64, error) {
	var text strings.Builder
	var args []any
	value := func(v any) string {
		args = append(args, v)
		if c.Ledger.Dialect() == dialect.Postgres {
			return "$" + strconv.Itoa(len(args))
		}
		return "?"
	}
	for i, part := range parts {
		if i > 0 {
			text.WriteString(" UNION ALL ")
		}
		text.WriteString("SELECT id FROM (SELECT id FROM " + entry.Table + " WHERE balance = " + value(part.balance))
		if part.before != 0 {
			text.WriteString(" AND id < " + value(part.before))
		}
		text.WriteString(" ORDER BY id DESC LIMIT " + strconv.Itoa(part.limit) + ") AS part" + strconv.Itoa(i))
	}
	rows, err := c.Client.QueryContext(ctx, text.String(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
