package commerce

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"holdfast/ent"
	"holdfast/ent/account"
	"holdfast/ent/entry"
	"holdfast/ent/schema"
	"holdfast/ent/transfer"
	"holdfast/lockprovider"
)

// Accounts hold the customers' money.
type Accounts struct {
	*core
	customers *Customers
}

// Transfer moves money from an account of the viewer's to any other of the same currency.
type Transfer struct {
	Key      uuid.UUID
	From, To string
	Amount   Money
}

// TransferResult is what a transfer did. To is nil if the receiving account is another customer's.
type TransferResult struct {
	Transfer *ent.Transfer
	From, To *ent.Account
	Meta     Meta
}

// Transfer moves money. Errors: NOT_FOUND (also for an account to pay from that is another customer's), INVALID_INPUT for
// a transfer to the same account, another currency or an amount that is not positive, INSUFFICIENT_FUNDS.
func (s *Accounts) Transfer(ctx context.Context, v Viewer, in Transfer) (TransferResult, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return TransferResult{}, err
	}
	id := operationID(v, "transfer", in.Key)
	from, to, err := s.parties(ctx, v, in)
	if err != nil {
		return TransferResult{}, err
	}
	row := transferCompleted{
		TransferID: idOf(prefixTransfer, id), UserID: v.UserID, FromAccountID: from.ID, ToAccountID: to.ID,
		AmountMinor: in.Amount.Minor, Currency: in.Amount.Currency, At: s.now(),
	}
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: id, Family: lockprovider.Accounts,
		Moves: []lockprovider.Move{
			{Balance: lockprovider.AccountKey(from.ID), Delta: -in.Amount.Minor},
			{Balance: lockprovider.AccountKey(to.ID), Delta: in.Amount.Minor},
		},
		Record: lockprovider.Record{
			Kind: KindTransferCompleted, Payload: mustJSON(row), Fingerprint: fingerprint(in),
		},
	})
	result := TransferResult{From: from, Meta: metaOf(receipt)}
	if v.may(to.UserID) {
		result.To = to
	} else {
		delete(result.Meta.Positions, lockprovider.AccountKey(to.ID)) // how often it moves is not theirs to know
	}
	if err != nil {
		return TransferResult{Meta: result.Meta}, refusals(err, func(r lockprovider.Refusal) *Error {
			if r.Reason == lockprovider.ErrInsufficient { //nolint:errorlint // a refusal holds one of two sentinels, unwrapped
				return insufficientFunds(r, input("amount", "amountMinor"), "the account")
			}
			return noRoom(input("amount", "amountMinor"), "the receiving account cannot take %d more", r.Delta)
		})
	}
	var done transferCompleted // of a repeat, the first one's
	if err := json.Unmarshal(receipt.Payload, &done); err != nil {
		return result, err
	}
	result.Transfer = &ent.Transfer{
		ID: done.TransferID, UserID: done.UserID, FromAccountID: done.FromAccountID, ToAccountID: done.ToAccountID,
		AmountMinor: done.AmountMinor, Currency: done.Currency, CreatedAt: done.At,
	}
	return result, nil
}

func insufficientFunds(r lockprovider.Refusal, field []string, what string) *Error {
	asked := -r.Delta
	e := invalid(field, "%s holds %d, %d were asked", what, r.Available, asked)
	e.Code, e.Details = InsufficientFunds, InsufficientFundsDetails{Requested: asked, Available: r.Available}
	e.Retryable = true // after a deposit
	return e
}

// parties loads both accounts and checks what can be checked before anything is locked.
func (s *Accounts) parties(ctx context.Context, v Viewer, in Transfer) (from, to *ent.Account, err error) {
	if err := positive(in.Amount.Minor, input("amount", "amountMinor")); err != nil {
		return nil, nil, err
	}
	if in.From == in.To {
		return nil, nil, invalid(input("toAccountId"), "an account cannot transfer to itself")
	}
	rows, err := s.Client.Account.Query().Where(account.IDIn(in.From, in.To)).All(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		switch row.ID {
		case in.From:
			from = row
		case in.To:
			to = row
		}
	}
	switch {
	case from == nil || !v.owns(from.UserID): // the same answer, to administrators as well: whose an account is, is nobody else's business
		return nil, nil, notFound(input("fromAccountId"), "account", in.From)
	case to == nil:
		return nil, nil, notFound(input("toAccountId"), "account", in.To)
	case from.Currency != in.Amount.Currency:
		return nil, nil, invalid(input("amount", "currency"), "the account holds %s, not %s",
			from.Currency, Truncate(in.Amount.Currency, 3))
	case from.Currency != to.Currency:
		return nil, nil, invalid(input("toAccountId"), "the receiving account holds %s, not %s", to.Currency, from.Currency)
	}
	return from, to, nil
}

// AdjustAccount corrects the money in an account.
type AdjustAccount struct {
	Key       uuid.UUID
	AccountID string
	Delta     int64 // minor units, negative to take
	Reason    string
}

// AccountResult is an account after it was adjusted.
type AccountResult struct {
	Account *ent.Account
	Meta    Meta
}

// Adjust corrects the money in any account, with a reason that is kept. Admins only. Errors: NOT_FOUND, INVALID_INPUT,
// INSUFFICIENT_FUNDS if the account holds less than is to be taken.
func (s *Accounts) Adjust(ctx context.Context, v Viewer, in AdjustAccount) (AccountResult, error) {
	if err := v.admin(); err != nil {
		return AccountResult{}, err
	}
	in.Reason = strings.TrimSpace(in.Reason)
	if err := checkAdjustment(in.Delta, input("deltaMinor"), in.Reason); err != nil {
		return AccountResult{}, err
	}
	row, err := s.Get(ctx, v, in.AccountID)
	if err != nil {
		return AccountResult{}, err
	}
	if row == nil {
		return AccountResult{}, notFound(input("accountId"), "account", in.AccountID)
	}
	receipt, err := s.execute(ctx, lockprovider.Change{
		ID: operationID(v, "accountAdjust", in.Key), Family: lockprovider.Accounts,
		Moves: []lockprovider.Move{{Balance: lockprovider.AccountKey(row.ID), Delta: in.Delta}},
		Record: lockprovider.Record{
			Kind: KindAccountAdjusted, Fingerprint: fingerprint(in),
			Payload: mustJSON(accountAdjusted{
				AccountID: row.ID, UserID: row.UserID, DeltaMinor: in.Delta, Currency: row.Currency, Reason: in.Reason, By: v.UserID, At: s.now(),
			}),
		},
	})
	return AccountResult{Account: row, Meta: metaOf(receipt)}, adjustmentRefused(err, input("deltaMinor"), "the account")
}

// OpenAccount describes a new account.
type OpenAccount struct {
	Key      uuid.UUID // the nil UUID for none: then each call opens an account
	Name     string
	Currency string
	UserID   string // whose; "" means the viewer's own. Others' only for admins
	Opening  int64  // minor units; only admins open an account with money
	id       string // demo data choose theirs
}

// Open adds an account. A repeat with the same key returns the first one. Errors: INVALID_INPUT, IDEMPOTENCY_MISMATCH,
// IDEMPOTENCY_EXPIRED, INVALID_STATE if the customer has as many accounts as one may have.
func (s *Accounts) Open(ctx context.Context, v Viewer, in OpenAccount) (*ent.Account, error) {
	if err := s.customers.ensure(ctx, v); err != nil {
		return nil, err
	}
	in.Name = strings.TrimSpace(in.Name)
	if in.UserID == "" {
		in.UserID = v.UserID
	}
	if (in.UserID != v.UserID || in.Opening != 0) && !v.Admin {
		return nil, ErrForbidden
	}
	var errs Errors
	errs = append(errs, checkText("name", in.Name, 1, schema.MaxName)...)
	if !currencyPattern.MatchString(in.Currency) {
		errs = append(errs, invalid(input("currency"), "currency must be three capital letters (ISO 4217), not %.10q", in.Currency))
	}
	if in.Opening < 0 || in.Opening > lockprovider.MaxAmount {
		errs = append(errs, invalid(input("openingMinor"), "the opening balance must be 0 to %d, not %d",
			int64(lockprovider.MaxAmount), in.Opening))
	}
	if !userIDPattern.MatchString(in.UserID) {
		errs = append(errs, invalid(input("userId"), "%.80q is no user ID", in.UserID))
	}
	if errs != nil {
		return nil, errs
	}
	if err := s.customers.add(ctx, in.UserID, in.UserID); err != nil {
		return nil, err
	}
	op := newOperation(v, "accountOpen", in.Key, in)
	if in.id == "" {
		in.id = op.objectID(prefixAccount)
	}
	var row *ent.Account
	repeat, err := s.once(ctx, op, func(tx *ent.Tx) (err error) {
		if err := s.room(ctx, tx, in.UserID); err != nil {
			return err
		}
		row, err = tx.Account.Create().SetID(in.id).SetUserID(in.UserID).SetName(in.Name).SetCurrency(in.Currency).
			SetCreatedAt(s.now()).Save(ctx)
		if err != nil {
			return err
		}
		return s.Ledger.Open(ctx, tx, map[string]lockprovider.Bounds{
			lockprovider.AccountKey(row.ID): unbounded(in.Opening),
		})
	})
	switch {
	case repeat:
		return s.Client.Account.Get(ctx, in.id)
	case op.keyed() && ent.IsConstraintError(err): // the account is there
		return nil, keyExpired()
	case err != nil:
		return nil, err
	}
	return row, nil
}

// room fails if a customer has as many accounts as one may have. It locks the customer's row, so that of several accounts that are
// opened at the same time none is one too many.
func (s *Accounts) room(ctx context.Context, tx *ent.Tx, userID string) error {
	if err := s.lockCustomer(ctx, tx, userID); err != nil {
		return err
	}
	n, err := tx.Account.Query().Where(account.UserID(userID)).Count(ctx)
	if err == nil && n >= s.Shop.MaxAccounts {
		err = &Error{Code: InvalidState, Message: fmt.Sprintf("a customer has at most %d accounts, and has as many already", s.Shop.MaxAccounts)}
	}
	return err
}

// Get returns an account of the viewer. It returns nil if there is none or it is another customer's.
func (s *Accounts) Get(ctx context.Context, v Viewer, id string) (*ent.Account, error) {
	byID, err := s.GetAll(ctx, v, []string{id})
	return byID[id], err
}

// GetAll is Get for several accounts. It returns those of the viewer, by their IDs.
func (s *Accounts) GetAll(ctx context.Context, v Viewer, ids []string) (map[string]*ent.Account, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	rows, err := s.Client.Account.Query().Where(account.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*ent.Account, len(rows))
	for _, row := range rows {
		if v.may(row.UserID) {
			byID[row.ID] = row
		}
	}
	return byID, nil
}

// GetTransfer returns a transfer from or to an account of the viewer, or nil if there is none.
func (s *Accounts) GetTransfer(ctx context.Context, v Viewer, id string) (*ent.Transfer, error) {
	byID, err := s.GetTransfers(ctx, v, []string{id})
	return byID[id], ErrorOf(err, id)
}

// GetTransfers returns transfers from or to accounts of the viewer, by their IDs. It waits for those that were accepted. If some are not
// confirmed in time, the error is [ErrorsByID] of these.
func (s *Accounts) GetTransfers(ctx context.Context, v Viewer, ids []string) (map[string]*ent.Transfer, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	byID := make(map[string]*ent.Transfer, len(ids))
	failed := allAwaited(ctx, s.core, lockprovider.Accounts, prefixTransfer, ids, func(ctx context.Context, ids []string) ([]string, error) {
		rows, err := s.Client.Transfer.Query().Where(transfer.IDIn(ids...)).All(ctx)
		found := make([]string, len(rows))
		for i, row := range rows {
			byID[row.ID], found[i] = row, row.ID
		}
		return found, err
	})
	if len(byID) == 0 {
		return nil, failed
	}
	var parties []string
	for _, row := range byID {
		if !v.may(row.UserID) {
			parties = append(parties, row.FromAccountID, row.ToAccountID)
		}
	}
	if parties == nil {
		return byID, failed
	}
	owned, err := s.GetAll(ctx, v, parties)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(byID, func(_ string, row *ent.Transfer) bool {
		return !v.may(row.UserID) && owned[row.FromAccountID] == nil && owned[row.ToAccountID] == nil
	})
	return byID, failed
}

// List is the viewer's accounts, oldest first.
func (s *Accounts) List(ctx context.Context, v Viewer, page Page) (PageOf[*ent.Account], error) {
	if err := v.customer(); err != nil {
		return PageOf[*ent.Account]{}, err
	}
	asked, err := page.of(listing{"accounts:" + v.UserID, timeAndID, account.FieldCreatedAt, false})
	if err != nil {
		return PageOf[*ent.Account]{}, err
	}
	own := func() *ent.AccountQuery { return s.Client.Account.Query().Where(account.UserID(v.UserID)) }
	rows, err := own().Where(asked.within).Order(asked.sorted).Limit(asked.limit()).All(ctx)
	if err != nil {
		return PageOf[*ent.Account]{}, err
	}
	list := pageOf(rows, asked, func(a *ent.Account) position { return position{Time: a.CreatedAt, ID: a.ID} })
	list.Count = counts(own)
	return list, nil
}

// Balances tells the money in each account, in minor units.
func (s *Accounts) Balances(ctx context.Context, ids []string) (map[string]Reading, error) {
	return s.readings(ctx, ids, lockprovider.AccountKey)
}

// Entries is the statement of an account of the viewer's, newest first.
func (s *Accounts) Entries(ctx context.Context, v Viewer, accountID string, page Page) (PageOf[*ent.Entry], error) {
	pages, errs := s.Statements(ctx, v, []Statement{{AccountID: accountID, Page: page}})
	return pages[0], errs[0]
}

// EntriesByID returns those of the entries that are of the viewer's wallet or of one of their accounts.
func (s *Accounts) EntriesByID(ctx context.Context, v Viewer, ids []int64) (map[int64]*ent.Entry, error) {
	if err := v.customer(); err != nil {
		return nil, err
	}
	rows, err := s.Client.Entry.Query().Where(entry.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byID, accounts := make(map[int64]*ent.Entry, len(rows)), map[string][]*ent.Entry{}
	for _, row := range rows {
		if v.Admin || row.Balance == lockprovider.PointsKey(v.UserID) {
			byID[row.ID] = row
		} else if accountID, ok := strings.CutPrefix(row.Balance, lockprovider.AccountKey("")); ok {
			accounts[accountID] = append(accounts[accountID], row)
		}
	}
	if len(accounts) == 0 {
		return byID, nil
	}
	owned, err := s.GetAll(ctx, v, slices.Collect(maps.Keys(accounts)))
	for id := range owned {
		for _, row := range accounts[id] {
			byID[row.ID] = row
		}
	}
	return byID, err
}
