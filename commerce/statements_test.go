package commerce_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"holdfast/commerce"
)

// TestStatements reads the journals of several accounts together, on every database: each page is what it is alone, and an error is
// that of its page.
func TestStatements(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		var ids []string
		for i := range 3 {
			row, err := s.Accounts.Open(t.Context(), admin, commerce.OpenAccount{
				Name: fmt.Sprint("Account ", i), Currency: "USD", UserID: alice.UserID, Opening: 100,
			})
			must(t, err)
			ids = append(ids, row.ID)
		}
		for i := range 5 {
			_, err := s.Accounts.Transfer(t.Context(), alice, commerce.Transfer{
				Key: uuid.New(), From: ids[0], To: ids[1+i%2], Amount: commerce.Money{Minor: 1, Currency: "USD"},
			})
			must(t, err)
		}
		first, err := s.Accounts.Entries(t.Context(), alice, ids[0], commerce.Page{First: 2})
		must(t, err)
		after := first.Cursors[1]
		asked := []commerce.Statement{
			{AccountID: ids[0], Page: commerce.Page{First: 2}},
			{AccountID: ids[0], Page: commerce.Page{First: 1, After: after}},
			{AccountID: ids[0], Page: commerce.Page{First: 100, After: after}},
			{AccountID: ids[0], Page: commerce.Page{Backward: true, Last: 2}},
			{AccountID: ids[0], Page: commerce.Page{Backward: true, Last: 3, Before: after}},
			{AccountID: ids[1], Page: commerce.Page{First: 100}},
			{AccountID: ids[2], Page: commerce.Page{First: 1}},
			{AccountID: "acct_nobody", Page: commerce.Page{First: 1}},
		}
		together, errs := s.Accounts.Statements(t.Context(), alice, append(slices.Clone(asked),
			commerce.Statement{AccountID: ids[1], Page: commerce.Page{First: 1, After: after}},
			commerce.Statement{AccountID: ids[1], Page: commerce.Page{First: 101}},
		))
		for i, want := range []int{2, 1, 3, 2, 1, 3, 1, 0} {
			must(t, errs[i])
			alone, err := s.Accounts.Entries(t.Context(), alice, asked[i].AccountID, asked[i].Page)
			must(t, err)
			if len(together[i].Items) != want || !slices.Equal(together[i].Cursors, alone.Cursors) ||
				together[i].HasNext != alone.HasNext || together[i].HasPrevious != alone.HasPrevious {
				t.Errorf("page %d has %d entries, want %d; more follow: %t, alone %t", i, len(together[i].Items), want, together[i].HasNext, alone.HasNext)
			}
		}
		wantCodes(t, errs[len(asked)], "INVALID_INPUT:after")
		wantCodes(t, errs[len(asked)+1], "INVALID_INPUT:first")
		pages, errs := s.Accounts.Statements(t.Context(), bob, asked[:1])
		must(t, errs[0])
		if len(pages[0].Items) != 0 {
			t.Error("a customer reads the journal of another")
		}
	})
}

// TestAccountsOpenedAtOnce opens more accounts than one may have, at the same time, on every database.
func TestAccountsOpenedAtOnce(t *testing.T) {
	everyCatalog(t, func(t *testing.T, s *shop) {
		_, err := s.Accounts.Open(t.Context(), alice, commerce.OpenAccount{Name: "The first", Currency: "USD"})
		must(t, err)
		var opening sync.WaitGroup
		refused := make(chan error, 30)
		for range cap(refused) {
			opening.Go(func() {
				_, err := s.Accounts.Open(t.Context(), alice, commerce.OpenAccount{Key: uuid.New(), Name: "One of many", Currency: "USD"})
				refused <- err
			})
		}
		opening.Wait()
		close(refused)
		n := 1
		for err := range refused {
			if err == nil {
				n++
				continue
			}
			wantCodes(t, err, "INVALID_STATE")
		}
		listed, err := s.Accounts.List(t.Context(), alice, commerce.Page{First: commerce.MaxPage})
		must(t, err)
		if most := s.Shop().MaxAccounts; n != most || len(listed.Items) != most {
			t.Errorf("%d accounts were opened and %d are listed, want %d", n, len(listed.Items), most)
		}
	})
}
