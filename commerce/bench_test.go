package commerce_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
	"holdfast/internal/testenv"
	"holdfast/lockprovider"
)

// BenchmarkHotProduct places orders of one product by 256 concurrent customers, on PostgreSQL and a real Redis, under each
// strategy in turn:
//
//	go test ./commerce -run - -bench HotProduct -benchtime 5s
//
// orders/s counts orders that were placed and committed; tries/order counts how often a customer had to send one because
// of contention; orders/commit is what one group commit of lua carries.
func BenchmarkHotProduct(b *testing.B) {
	for _, strategy := range lockprovider.Usable(dialect.Postgres) {
		b.Run(string(strategy), func(b *testing.B) { benchmarkOrders(b, strategy, 1, 256) })
	}
}

// BenchmarkOneCustomer is the same with one customer, who waits for nobody.
func BenchmarkOneCustomer(b *testing.B) {
	for _, strategy := range lockprovider.Usable(dialect.Postgres) {
		b.Run(string(strategy), func(b *testing.B) { benchmarkOrders(b, strategy, 1, 1) })
	}
}

// BenchmarkUniformProducts is BenchmarkHotProduct without contention: 1000 products.
func BenchmarkUniformProducts(b *testing.B) {
	for _, strategy := range []lockprovider.Strategy{
		lockprovider.RowLock, lockprovider.AtomicSQL, lockprovider.PubSub, lockprovider.GroupCommit, lockprovider.Lua,
	} {
		b.Run(string(strategy), func(b *testing.B) { benchmarkOrders(b, strategy, 1000, 256) })
	}
}

func benchmarkOrders(b *testing.B, strategy lockprovider.Strategy, products, customers int) {
	s := openShop(b, lockprovider.FamilyConfig{Strategy: strategy}, postgres(b), testenv.Redis(b).URL)
	ids := make([]string, products)
	for i := range ids {
		ids[i] = s.product(b, 100, 1_000_000_000)
	}
	viewers := make([]commerce.Viewer, customers)
	for i := range viewers {
		viewers[i] = commerce.Viewer{UserID: fmt.Sprint("user", i), Name: "User"}
		s.points(b, viewers[i], 1) // so that the customer has a row
	}
	var next, tries atomic.Int64
	order := func(more func() bool) {
		viewer := viewers[int(next.Add(1))%customers]
		for more() {
			in := commerce.PlaceOrder{
				Key: uuid.New(), Lines: []commerce.Line{{ProductID: ids[int(next.Add(1))%products], Quantity: 1}},
			}
			for {
				tries.Add(1)
				_, err := s.Orders.Place(b.Context(), viewer, in)
				if err == nil {
					break
				}
				var e *commerce.Error
				if !errors.As(err, &e) || e.RetryAfter == 0 {
					b.Error(err)
					return
				}
			}
		}
	}
	b.ResetTimer()
	if customers == 1 {
		order(b.Loop)
	} else {
		b.SetParallelism(customers / 2) // times GOMAXPROCS, 2 where the figures in docs were taken
		b.RunParallel(func(pb *testing.PB) { order(pb.Next) })
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	b.ReportMetric(float64(tries.Load())/float64(b.N), "tries/order")
	if commits := s.commits.Load(); commits > 0 {
		b.ReportMetric(float64(b.N)/float64(commits), "orders/commit")
	}
	s.audit(b)
}

// BenchmarkImport imports a file of 100,000 variants of 20,000 products into PostgreSQL: the first time, when nothing of it is there,
// the same again, and with another quantity of each.
func BenchmarkImport(b *testing.B) {
	const variants = 100_000
	read := func(more int) []commerce.ImportRow {
		b.Helper()
		var text strings.Builder
		text.WriteString(shopifyHeader)
		for i := range variants {
			fmt.Fprintf(&text, "p-%d,Product %d,<p>%s</p>,Acme,TRUE,Size,%d,,SKU-%d,%d,12.00,,active\n",
				i/5, i/5, strings.Repeat("text ", 60), i%5, i, i%100+more)
		}
		file, err := shopifycsv.Read(strings.NewReader(text.String()), shopifycsv.Format{Currency: "USD"})
		must(b, err)
		return file.Rows
	}
	for range b.N {
		s := openShop(b, lockprovider.FamilyConfig{Strategy: lockprovider.SetNX}, postgres(b), clients.EmbeddedRedis)
		for _, pass := range []struct {
			name string
			more int
			want commerce.ImportOutcome
		}{
			{"new", 0, commerce.ImportCreated}, {"same", 0, commerce.ImportUnchanged}, {"moved", 1, commerce.ImportUpdated},
		} {
			began := time.Now()
			for _, batch := range commerce.ImportBatches(read(pass.more), commerce.MaxImport) {
				results, err := s.Catalog.Import(b.Context(), admin, batch, commerce.StockDifference)
				must(b, err)
				for _, r := range results {
					if r.Err != nil || r.Outcome != pass.want {
						b.Fatalf("%s: %s, %v", pass.name, r.Outcome, r.Err)
					}
				}
			}
			b.ReportMetric(time.Since(began).Seconds(), pass.name+"-s")
		}
	}
}
