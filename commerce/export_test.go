package commerce

import (
	"context"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"holdfast/commerce/searchindex"
	"holdfast/ent/entry"
	"holdfast/ent/order"
	"holdfast/ent/product"
	"holdfast/ent/user"
	"holdfast/payments"
)

// ForgetSearchDocuments has the next search read all search documents, as the first one does.
func (s *Catalog) ForgetSearchDocuments() { s.documents.index.Store(searchindex.New()) }

// Told moves a payment attempt as a message of the gateway does.
func (s *Attempts) Told(ctx context.Context, id string, answer payments.Answer) error {
	_, err := s.moveAttempt(ctx, id, answer, payments.Event(answer.State))
	return err
}

// PlanOfList returns how SQLite reads a page of a list, for the conditions and the order that the list has on each database.
func (s *Services) PlanOfList(ctx context.Context, list string, backward, bounded bool) (string, error) {
	rows := entsql.Dialect(dialect.SQLite).Select("*")
	asked := span{backward: backward, size: 20}
	switch list {
	case "orders":
		rows.From(entsql.Table(order.Table)).Where(entsql.EQ(order.FieldUserID, "alice"))
		asked.listing = listing{"", timeAndID, order.FieldCreatedAt, true}
	case "allOrders":
		rows.From(entsql.Table(order.Table))
		asked.listing = listing{"", timeAndID, order.FieldCreatedAt, true}
	case "customers":
		rows.From(entsql.Table(user.Table))
		asked.listing = listing{"", timeAndID, user.FieldCreatedAt, true}
	case "entries":
		rows.From(entsql.Table(entry.Table)).Where(entsql.EQ(entry.FieldBalance, "account:acct_1"))
		asked.listing = journal("account:acct_1")
	default:
		rows.From(entsql.Table(product.Table)).Where(entsql.IsNull(product.FieldArchivedAt))
		sorting := productOrders[ProductOrder(list)]
		asked.listing = listing{"", sorting.by, sorting.column, sorting.descending}
	}
	if bounded {
		asked.after, asked.before = &position{Time: time.Now(), ID: "a"}, &position{Time: time.Now(), ID: "z"}
	}
	asked.within(rows)
	asked.sorted(rows)
	query, args := rows.Limit(asked.limit()).Query()
	found, err := s.Catalog.Client.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return "", err
	}
	defer found.Close()
	plan := ""
	for found.Next() {
		var (
			id, parent, unused int
			step               string
		)
		if err := found.Scan(&id, &parent, &unused, &step); err != nil {
			return "", err
		}
		plan += step + "; "
	}
	return plan, found.Err()
}

// Split and UnitsWorth are how the total of an order is split.
var (
	Split      = split
	UnitsWorth = unitsWorth
)
