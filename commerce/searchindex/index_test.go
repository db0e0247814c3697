package searchindex

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// naive is an index that looks at each document.
type naive map[int64]Document

func (n naive) put(documents []Document) {
	for _, d := range documents {
		n[d.Number] = d
	}
}

func (n naive) search(q Query, order Order, descending bool, behind, before *Position, limit int) []Position {
	var list []Position
	for _, d := range n {
		p := Position{ProductID: d.ProductID}
		switch order {
		case ByTime:
			p.Number = d.CreatedAt.UnixMicro()
		case ByName:
			p.Text = d.Name
		case ByPrice:
			p.Number = d.PriceMinor
		}
		wanted := (!d.Archived || q.IncludeArchived) && (q.Available == nil || d.Available == *q.Available) &&
			(q.MinPrice == nil || d.PriceMinor >= *q.MinPrice) && (q.MaxPrice == nil || d.PriceMinor <= *q.MaxPrice)
		for _, word := range q.Words {
			wanted = wanted && strings.Contains(" "+d.Words, " "+word)
		}
		if q.AnyOf != nil {
			wanted = wanted && slices.ContainsFunc(q.AnyOf, func(word string) bool { return strings.Contains(" "+d.Words, " "+word) })
		}
		if wanted {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Position) int {
		if descending {
			a, b = b, a
		}
		return a.compare(b)
	})
	list = slices.DeleteFunc(list, func(p Position) bool {
		passed := func(at *Position) int {
			if descending {
				return at.compare(p)
			}
			return p.compare(*at)
		}
		return behind != nil && passed(behind) <= 0 || before != nil && passed(before) >= 0
	})
	return list[:min(len(list), limit)]
}

var vocabulary = []string{"lamp", "lampion", "lampara", "desk", "🦀", "red", "rot", "лампа", "l", "c", "+"}

// invent makes up documents of numbers below n. Products of one number keep their IDs, and so do those of the index.
func invent(random *rand.Rand, count, n int) []Document {
	documents := map[int64]Document{}
	for len(documents) < count {
		words := map[string]bool{}
		for range random.IntN(5) {
			words[vocabulary[min(random.IntN(len(vocabulary)), random.IntN(len(vocabulary)))]] = true
		}
		number := int64(random.IntN(n))
		words[fmt.Sprint("sku", number)] = true
		d := Document{
			Number: number, ProductID: fmt.Sprintf("prod_%05d", (number*7919)%int64(n)), PriceMinor: int64(random.IntN(20)),
			CreatedAt: time.UnixMicro(number / 5), Archived: random.IntN(5) == 0, Available: random.IntN(3) == 0,
		}
		for word := range words {
			d.Words += " " + word
		}
		d.Name = strings.TrimSpace(d.Words)
		documents[number] = d
	}
	list := make([]Document, 0, count)
	for _, d := range documents {
		list = append(list, d)
	}
	return list
}

func put(x *Index, documents []Document, revision int64) {
	batch := new(Batch)
	for _, d := range documents {
		batch.Add(d)
	}
	x.Put(batch, Revision{Number: revision})
}

// putParts puts documents as put does, in a batch that makes several segments of them.
func putParts(x *Index, documents []Document, revision int64, parts int) {
	batch := new(Batch)
	for i, d := range documents {
		batch.Add(d)
		if i%(len(documents)/parts+1) == 0 {
			batch.seal()
		}
	}
	x.Put(batch, Revision{Number: revision})
}

// Whatever came in which order, and however it was merged, an index finds what a search finds that looks at each document.
func TestIndexFindsWhatNaiveSearchFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	queries := []string{"l", "lam", "lamp", "lampa", "lamp desk", "l r 🦀", "desk red lamp c", "лам", "+", "x", "sku1", "sku12 l", "s", "sku77", ""}
	const n = 8_000 // so many that segments are merged aside
	x, want := New(), naive{}
	some := func(k int) *int64 {
		if random.IntN(k) > 0 {
			return nil
		}
		price := int64(random.IntN(20))
		return &price
	}
	for revision := range int64(80) {
		count := 1 + random.IntN(30)
		if revision%10 == 3 {
			count = 1 + random.IntN(5000)
		}
		documents := invent(random, count, n)
		want.put(documents)
		putParts(x, documents, revision, 1+random.IntN(4))
		if got := x.Snapshot().Revision().Number; got != revision {
			t.Fatalf("revision %d, want %d", got, revision)
		}
		var stock Stock
		for range random.IntN(20) {
			number, available := int64(random.IntN(n)), random.IntN(2) == 0
			stock.Set(number, available)
			if d, known := want[number]; known {
				d.Available = available
				want[number] = d
			}
		}
		x.PutStock(&stock)
		for range 4 {
			q := Query{
				Words: strings.Fields(queries[random.IntN(len(queries))]), IncludeArchived: random.IntN(2) == 0, MinPrice: some(3), MaxPrice: some(3),
			}
			if random.IntN(2) == 0 {
				available := random.IntN(2) == 0
				q.Available = &available
			}
			if random.IntN(3) == 0 {
				q.AnyOf = strings.Fields(queries[random.IntN(len(queries))]) // of "", those that have one of none
			}
			order, descending, limit := Order(random.IntN(int(orderCount))), random.IntN(2) == 0, 1+random.IntN(40)
			m := x.Snapshot().Match(q)
			var behind, before *Position
			for page := range 3 {
				got := m.Read(order, descending, behind, before, limit)
				if list := want.search(q, order, descending, behind, before, limit); !slices.Equal(got, list) {
					t.Fatalf("after %d, %q and any of %q in order %d, descending %v, from %v to %v:\n got %v\nwant %v",
						revision, q.Words, q.AnyOf, order, descending, behind, before, got, list)
				}
				if len(got) < limit {
					break
				}
				behind = &got[len(got)-1]
				if page == 1 {
					behind, before = &got[0], behind
				}
			}
			m.Close()
		}
	}
}

// Those who search while others put and merge find each document once, as it was at one moment: what a put brings has its revision for a
// price.
func TestSnapshotsAreOfOneMoment(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	x := New()
	const n, changed = 6000, 1500 // so many that segments are merged aside
	bring := func(numbers []int, revision int64) {
		documents := make([]Document, len(numbers))
		for i, number := range numbers {
			documents[i] = Document{Number: int64(number), ProductID: fmt.Sprint(number), PriceMinor: revision, Words: " lamp"}
		}
		put(x, documents, revision)
	}
	bring(random.Perm(n), 1)
	stop := make(chan struct{})
	var searchers sync.WaitGroup
	for range 2 {
		searchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := x.Snapshot()
				m := now.Match(Query{Words: []string{"lamp"}})
				list := m.Read(ByPrice, true, nil, nil, 2*n)
				m.Close()
				ids := map[string]bool{}
				newest := 0
				for _, p := range list {
					ids[p.ProductID] = true
					if p.Number == now.Revision().Number {
						newest++
					}
				}
				if now.Revision().Number > 1 && newest != changed || len(list) != n || len(ids) != n || list[0].Number != now.Revision().Number {
					t.Errorf("revision %d: %d documents of %d products, %d of them of this revision; the newest is of %d",
						now.Revision().Number, len(list), len(ids), newest, list[0].Number)
					return
				}
			}
		})
	}
	for revision := int64(2); revision <= 60; revision++ {
		bring(random.Perm(n)[:changed], revision)
	}
	close(stop)
	searchers.Wait()
}

// A batch of more documents than are held in memory in another form is found as a whole.
func TestBatchOfSeveralSegments(t *testing.T) {
	documents := make([]Document, 2*maxBuilt+10)
	for i := range documents {
		documents[i] = Document{Number: int64(i), ProductID: fmt.Sprintf("%07d", i), PriceMinor: int64(i % 7), Words: fmt.Sprintf(" w%d", i%1000)}
	}
	batch := new(Batch)
	for i, d := range documents {
		batch.Add(d)
		if n := len(batch.documents); n >= maxBuilt {
			t.Fatalf("%d documents are held after %d", n, i+1)
		}
	}
	x := New()
	x.Put(batch, Revision{Number: 1})
	m := x.Snapshot().Match(Query{Words: []string{"w7"}})
	defer m.Close()
	list := m.Read(ByTime, false, nil, nil, len(documents))
	want := 0
	for i := range documents {
		if strings.HasPrefix(fmt.Sprint(i%1000), "7") {
			want++
		}
	}
	if len(list) != want || list[0].ProductID != "0000007" {
		t.Errorf("%d documents, the first is %v, want %d", len(list), list[:1], want)
	}
}

// An index has few segments, however many puts have made it: each is searched on its own.
func TestIndexHasFewSegments(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	x := New()
	for revision := range int64(2000) {
		put(x, invent(random, 1, 3000), revision)
		if n := len(x.Snapshot().segments); n > 12 {
			t.Fatalf("%d segments after %d puts", n, revision+1)
		}
	}
}

// BenchmarkPut puts 100,000 documents with names of four words into an empty index, as an instance does that starts.
func BenchmarkPut(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	documents := make([]Document, 100_000)
	for i := range documents {
		sku := fmt.Sprintf("%07d", i)
		words := []string{sku, "art" + sku}
		for range 4 {
			words = append(words, fmt.Sprintf("word%d", int(1/(random.Float64()+1e-4))))
		}
		documents[i] = Document{
			Number: int64(i), ProductID: fmt.Sprintf("prod_%026d", i), Name: strings.Join(words[2:], " "), PriceMinor: int64(random.IntN(100_000)),
			CreatedAt: time.UnixMicro(int64(i)), Words: " " + strings.Join(words, " "),
		}
	}
	for b.Loop() {
		put(New(), documents, 1)
	}
}

// BenchmarkAnyOf finds the first page of what has one of 2,000 words, as a list of a category that has all others beneath it, among 1,000,000
// documents.
func BenchmarkAnyOf(b *testing.B) {
	const words, documents = 2000, 1_000_000
	batch := new(Batch)
	for i := range documents {
		batch.Add(Document{
			Number: int64(i), ProductID: fmt.Sprintf("prod_%026d", i), Name: fmt.Sprint("Product ", i), PriceMinor: int64(i * 7919 % 100_000),
			CreatedAt: time.UnixMicro(int64(i)), Words: fmt.Sprintf(" product w%d #ccat_%d#", i, i%words),
		})
	}
	x := New()
	x.Put(batch, Revision{Number: 1})
	var q Query
	for i := range words {
		q.AnyOf = append(q.AnyOf, fmt.Sprintf("#ccat_%d#", i))
	}
	for b.Loop() {
		m := x.Snapshot().Match(q)
		if list := m.Read(ByPrice, false, nil, nil, 20); len(list) != 20 {
			b.Fatalf("%d documents", len(list))
		}
		m.Close()
	}
}
