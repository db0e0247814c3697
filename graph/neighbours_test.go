package graph_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/auth"
	"holdfast/ent"
	"holdfast/graph/transport"
	"holdfast/internal/testenv"
)

// costlyAtOnce is how many documents at the cost limit are under way beside another client.
const costlyAtOnce = 10

// costlyDocuments are documents that cost almost as much as one may.
func costlyDocuments(t testing.TB, a *api, n int) (documents []string) {
	t.Helper()
	ids := fillShop(t, a)
	for seed := uint64(0); len(documents) < n; seed++ {
		document, _, cost := newGenerator(seed, ids, a.services.Shop()).document(t)
		if cost >= costly {
			documents = append(documents, document)
		}
	}
	return documents
}

// TestAnotherClientIsServed holds up the database for ten documents at the cost limit, each in as many resolvers as run at the same time.
// Another client is answered meanwhile: nothing of what the ten have taken is what it needs.
func TestAnotherClientIsServed(t *testing.T) {
	var holding atomic.Bool
	release, waiting := make(chan struct{}), make(chan string, 10_000)
	a := newAPI(t, settings{intercept: ent.InterceptFunc(func(next ent.Querier) ent.Querier {
		return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
			if holding.Load() && auth.Viewer(ctx).UserID == alice {
				select {
				case waiting <- transport.RequestOf(ctx).ID:
				default: // there are enough to know
				}
				select {
				case <-release:
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}
			return next.Query(ctx, q)
		})
	})})
	documents := costlyDocuments(t, a, costlyAtOnce)
	holding.Store(true)
	answered := make(chan result, len(documents))
	for _, document := range documents {
		go func() { answered <- a.do(alice, document, nil) }()
	}
	for asking := map[string]bool{}; len(asking) < len(documents); {
		asking[testenv.Receive(t, waiting, "a resolver of each costly document to ask the database")] = true
	}
	served := make(chan result, 3)
	go func() {
		served <- a.do(bob, `{ product(id: "prod_1") { id name stock { available } } me { orders { nodes { id } } } }`, nil)
		served <- a.do(nobody, `{ products(first: 5) { nodes { id } } }`, nil)
		served <- a.do(bob, placeOrder, vars(object{"idempotencyKey": key(), "lines": line("prod_1", 1), "payment": object{"method": "POINTS"}}))
	}()
	for range cap(served) {
		if r := testenv.Receive(t, served, "an answer to another client"); len(r.Errors) > 0 {
			t.Errorf("another client: %s", r.body)
		}
	}
	select {
	case r := <-answered:
		t.Fatalf("a costly document was not held up: %.300s", r.body)
	default:
	}
	close(release)
	for range documents {
		testenv.Receive(t, answered, "the answer to a costly document")
	}
}

// BenchmarkAnotherClient tells how long another client waits while ten documents at the cost limit are under way all the time:
//
//	go test ./graph -run - -bench AnotherClient -benchtime 200x
func BenchmarkAnotherClient(b *testing.B) {
	for _, costly := range []int{0, costlyAtOnce} {
		b.Run(fmt.Sprintf("beside=%d", costly), func(b *testing.B) {
			a := newAPI(b, settings{})
			documents := costlyDocuments(b, a, 2*costlyAtOnce)
			ctx, cancel := context.WithCancel(b.Context())
			var running, begun sync.WaitGroup
			begun.Add(costly)
			for client := range costly {
				running.Go(func() {
					first := sync.OnceFunc(begun.Done)
					for i := client; ctx.Err() == nil; i++ {
						a.do(alice, documents[i%len(documents)], nil)
						first()
					}
				})
			}
			begun.Wait()
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				began := time.Now()
				r := a.do(bob, `{ product(id: "prod_1") { id name price { amount } stock { available } } }`, nil)
				took = append(took, time.Since(began))
				if r.at("product.id") != "prod_1" {
					b.Fatal(r.body)
				}
			}
			cancel()
			running.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		})
	}
}
