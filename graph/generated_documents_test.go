package graph_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"holdfast/commerce"
	"holdfast/config/setting"
	limits "holdfast/ent/schema"
	"holdfast/graph"
	"holdfast/graph/transport"
	"holdfast/lockprovider"
)

const (
	// costly is what a document of these tests costs at least, in most cases. The limit is 10,000.
	costly = 7_000
	// maxGenerated bounds the fields of a document, and so its tokens.
	maxGenerated = 250
)

// TestGeneratedDocuments makes documents from the schema, each as costly as one may be, for a shop in which the lists are full. Each is
// answered within the memory that one request may take, and asks the database as often as its text has fields, not as its answer has.
// HOLDFAST_CHECK=1 makes 1,000 of them, and tells what they took.
func TestGeneratedDocuments(t *testing.T) {
	long := os.Getenv("HOLDFAST_CHECK") == "1"
	documents := 50
	if long {
		documents = 1000
	}
	a := newAPI(t, settings{})
	ids := fillShop(t, a)
	var memory, work, near int
	var longest time.Duration
	for seed := range documents {
		g := newGenerator(uint64(seed), ids, a.services.Shop())
		document, fields, cost := g.document(t)
		if cost >= costly {
			near++
		}
		user := alice
		if seed%3 == 0 {
			user = admin
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		queries, began := a.queries.Load(), cpu(t)
		r := a.do(user, document, nil)
		took := cpu(t) - began
		queries = a.queries.Load() - queries
		runtime.ReadMemStats(&after)
		for _, e := range r.Errors {
			switch code := e.Extensions["code"]; code {
			case "FORBIDDEN", "UNAUTHENTICATED":
			default:
				t.Fatalf("seed %d: %v: %s\n%s", seed, code, e.Message, document)
			}
		}
		held := int(after.TotalAlloc - before.TotalAlloc)
		if held > maxMemory {
			t.Errorf("seed %d: %d MB for a cost of %d:\n%s", seed, held>>20, cost, document)
		}
		if int(queries) > fields {
			t.Errorf("seed %d: %d queries for %d fields:\n%s", seed, queries, fields, document)
		}
		memory, work, longest = max(memory, held), max(work, int(queries)), max(longest, took)
	}
	if near < documents/2 {
		t.Errorf("only %d of %d documents cost %d or more", near, documents, costly)
	}
	if long {
		t.Logf("%d documents, %d near the limit: at most %d MB, %d queries, %s of CPU", documents, near, memory>>20, work, longest)
	}
}

// fillShop fills the lists of alice and of the shop, and returns identifiers by their prefix.
func fillShop(t testing.TB, a *api) map[string][]string {
	t.Helper()
	ctx, root := a.as(admin)
	_, viewer := a.as(alice)
	ids := map[string][]string{"exp_": {"exp_0"}, "qt_": {"qt_0"}, "user_": {"user_alice"}, "cat_": {"cat_1", "cat_5"}}
	add := func(id string) { prefix, _, _ := strings.Cut(id, "_"); ids[prefix+"_"] = append(ids[prefix+"_"], id) }
	_, err := a.services.Points.Adjust(ctx, root, commerce.AdjustPoints{Key: uuid.New(), UserID: alice, Delta: 1_000_000, Reason: "test"})
	must(t, err)
	for i := range 100 {
		in := commerce.CreateProduct{
			Key: uuid.New(), Name: fmt.Sprintf("Product %d", i), Description: strings.Repeat("text ", 100), Options: []string{"Size", "Colour"},
			Attributes: fullAttributes(),
		}
		for j := range commerce.MaxVariants {
			in.Variants = append(in.Variants, commerce.CreateVariant{
				SKU: fmt.Sprintf("FULL-%d-%d", i, j), Options: []string{fmt.Sprint("size ", j/10), fmt.Sprint("colour ", j%10)},
				Price: commerce.Money{Minor: 1, Currency: "USD"}, Stock: 1000,
			})
		}
		row, err := a.services.Catalog.Create(ctx, root, in)
		must(t, err)
		add(row.ID)
		add(lockprovider.FirstVariantID(row.ID))
	}
	coupon, err := a.services.Coupons.Create(ctx, root, commerce.CreateCoupon{
		Key: uuid.New(), Name: "Many", DiscountKind: "FIXED", DiscountValue: 1, Quota: 1000, PerUserLimit: 200,
	})
	must(t, err)
	add(coupon.ID)
	for range 100 {
		_, err := a.services.Coupons.Create(ctx, root, commerce.CreateCoupon{
			Key: uuid.New(), Name: "One of many", DiscountKind: "FIXED", DiscountValue: 1, Quota: 1, PerUserLimit: 1,
		})
		must(t, err)
		issued, err := a.services.Coupons.Issue(ctx, viewer, commerce.IssueCoupon{Key: uuid.New(), CouponID: coupon.ID})
		must(t, err)
		add(issued.Issue.ID)
	}
	for i := range 60 {
		in := commerce.PlaceOrder{Key: uuid.New(), Payment: &commerce.Payment{Method: "POINTS"}, CouponIssueID: ids["cpi_"][i]}
		for n := range 20 { // shop.maxLines
			in.Lines = append(in.Lines, commerce.Line{VariantID: ids["var_"][(i+n)%100], Quantity: 1})
		}
		placed, err := a.services.Orders.Place(ctx, viewer, in)
		must(t, err)
		add(placed.Order.ID)
	}
	for range 18 {
		row, err := a.services.Accounts.Open(ctx, viewer, commerce.OpenAccount{Key: uuid.New(), Name: "One of many", Currency: "USD"})
		must(t, err)
		add(row.ID)
		for range 10 {
			_, err = a.services.Accounts.Transfer(ctx, viewer, commerce.Transfer{
				Key: uuid.New(), From: "acct_alice", To: row.ID, Amount: commerce.Money{Minor: 1, Currency: "USD"},
			})
			must(t, err)
		}
	}
	var lines []commerce.Line
	for n := range a.services.Shop().MaxLines {
		lines = append(lines, commerce.Line{VariantID: ids["var_"][n], Quantity: 1})
	}
	for range a.services.Shop().MaxHolds {
		result, err := a.services.Holds.Create(ctx, viewer, commerce.CreateHold{Key: uuid.New(), Lines: lines, TTL: a.services.Shop().MaxHold})
		must(t, err)
		add(result.Hold.ID)
	}
	cart, err := a.services.Carts.Create(t.Context(), commerce.Viewer{}, lines)
	must(t, err)
	add(cart.ID)
	for range a.services.Shop().MaxAddresses - 1 { // and that of the demo data
		_, err := a.services.Customers.CreateAddress(t.Context(), commerce.DemoAlice, commerce.CreateAddress{
			Address: commerce.Address{Name: "Alice", Lines: []string{"1", "2", "3"}, City: "Springfield", Country: "US"},
		})
		must(t, err)
	}
	return ids
}

// fullAttributes are as many as a product may have.
func fullAttributes() commerce.Attributes {
	a := commerce.Attributes{CategoryIDs: []string{"cat_1", "cat_2", "cat_3", "cat_4", "cat_5", "cat_6"}}
	for i := range limits.MaxTags {
		a.Tags = append(a.Tags, fmt.Sprint("tag ", i))
	}
	for i := range limits.MaxImages {
		a.Images = append(a.Images, commerce.Image{URL: fmt.Sprintf("https://cdn.example.com/%d.jpg", i), AltText: "What is seen"})
	}
	return a
}

// generator makes documents from the schema. The same seed makes the same document.
type generator struct {
	random *rand.Rand
	ids    map[string][]string
	costs  graphql.ExecutableSchema
	most   int
}

func newGenerator(seed uint64, ids map[string][]string, shop commerce.ShopSettings) *generator {
	return &generator{
		random: rand.New(rand.NewPCG(seed, 1)), ids: ids, costs: graph.WithCosts(shop),
		most: setting.Default[transport.Limits]().MaxComplexity,
	}
}

// document returns a query to which nothing can be added that the limit allows, or almost, how many fields its text has, and what it costs.
func (g *generator) document(t testing.TB) (text string, fields, cost int) {
	t.Helper()
	var parts []string
	for refused := 0; refused < 60 && len(parts) < 25; {
		part := fmt.Sprintf("a%d: %s", len(parts), g.field(g.pick(g.costs.Schema().Query.Fields), 2+g.random.IntN(5)))
		candidate := "{ " + strings.Join(append(parts, part), " ") + " }"
		document, errs := gqlparser.LoadQueryWithRules(g.costs.Schema(), candidate, rules.NewDefaultRules())
		if errs != nil {
			t.Fatalf("the generator makes what is not valid: %v\n%s", errs, candidate)
		}
		n, c := count(document.Operations[0].SelectionSet), complexity.Calculate(t.Context(), g.costs, document.Operations[0], map[string]any{})
		if n > maxGenerated || c > g.most {
			refused++
			continue
		}
		parts, text, fields, cost = append(parts, part), candidate, n, c
	}
	return text, fields, cost
}

func count(set ast.SelectionSet) (n int) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			n += 1 + count(s.SelectionSet)
		case *ast.InlineFragment:
			n += count(s.SelectionSet)
		}
	}
	return n
}

func (g *generator) pick(fields ast.FieldList) *ast.FieldDefinition {
	for {
		if f := fields[g.random.IntN(len(fields))]; !strings.HasPrefix(f.Name, "__") {
			return f
		}
	}
}

// field returns a field with arguments, and with fields of its own that are at most so many levels deep.
func (g *generator) field(f *ast.FieldDefinition, depth int) string {
	var arguments []string
	for _, argument := range f.Arguments {
		if value := g.value(argument); value != "" {
			arguments = append(arguments, argument.Name+": "+value)
		}
	}
	text := f.Name
	if len(arguments) > 0 {
		text += "(" + strings.Join(arguments, ", ") + ")"
	}
	return text + g.selection(f.Type.Name(), depth)
}

// value returns a value for an argument, or "" for none.
func (g *generator) value(argument *ast.ArgumentDefinition) string {
	definition := g.costs.Schema().Types[argument.Type.Name()]
	switch {
	case argument.Name == "first":
		return fmt.Sprint([]int{1, 5, 10, 20, 50, 100}[g.random.IntN(6)])
	case definition.Name == "ID":
		prefix := "prod_"
		if d := argument.Directives.ForName("id"); d != nil {
			prefix = d.Arguments.ForName("prefix").Value.Raw
		}
		id, _ := json.Marshal(g.ids[prefix][g.random.IntN(len(g.ids[prefix]))])
		return string(id)
	case definition.Kind == ast.Enum:
		return definition.EnumValues[g.random.IntN(len(definition.EnumValues))].Name
	case definition.Name == "ProductFilter" && g.random.IntN(2) == 0:
		return `{search: "product"}`
	}
	return ""
}

// selection returns some fields of a type; all of what has no fields of its own, if it may be no deeper.
func (g *generator) selection(of string, depth int) string {
	definition := g.costs.Schema().Types[of]
	switch definition.Kind {
	case ast.Scalar, ast.Enum:
		return ""
	case ast.Interface, ast.Union:
		possible := g.costs.Schema().GetPossibleTypes(definition)
		one := possible[g.random.IntN(len(possible))]
		if of == "Node" {
			one = g.costs.Schema().Types["Product"]
		}
		return " { __typename ... on " + one.Name + g.selection(one.Name, depth) + " }"
	default:
	}
	parts := []string{"__typename"}
	for _, f := range definition.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		leaf := g.costs.Schema().Types[f.Type.Name()].IsLeafType()
		if !leaf && depth <= 0 || g.random.IntN(3) == 0 {
			continue
		}
		parts = append(parts, g.field(f, depth-1))
	}
	return " { " + strings.Join(parts, " ") + " }"
}
