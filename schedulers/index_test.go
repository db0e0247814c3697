package schedulers

import (
	"testing"

	"holdfast/commerce"
	"holdfast/lockprovider"
)

// A shop that was upgraded finds its products once the job has run.
func TestIndex(t *testing.T) {
	everyDatabase(t, func(t *testing.T, s stores) {
		p := s.process(t, "a", lockprovider.RowLock)
		for range 5 {
			p.product(t, 1)
		}
		_, err := s.db.Ent.ExecContext(t.Context(), "DELETE FROM search_documents") // as before the upgrade
		must(t, err)
		found := func() int {
			page, err := p.Catalog.Products(t.Context(), commerce.ProductQuery{Search: "THING", Page: commerce.Page{First: 10}})
			must(t, err)
			return len(page.Items)
		}
		if n := found(); n != 0 {
			t.Fatalf("%d products are found without an index", n)
		}
		set := settings()
		set.IndexBatch = 2
		job := p.runner(t, p.deps(set)).jobs[Index]
		for _, want := range []int64{5, 0} {
			if result, err := job.runOnce(t.Context()); err != nil || result["products"] != want {
				t.Errorf("%v, %v, want %d products", result, err, want)
			}
			if n := found(); n != 5 {
				t.Errorf("%d products are found, want 5", n)
			}
		}
	})
}
