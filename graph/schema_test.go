package graph_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/commerce"
	"holdfast/graph"
	"holdfast/graph/model"
	"holdfast/graph/served"
	"holdfast/lockprovider"
)

// schema is what is served if nothing is configured.
var schema = graph.Served(served.Options{})

// TestSchemaIsPrinted compares the printed schema with the one that the generated code serves.
func TestSchemaIsPrinted(t *testing.T) {
	printed, err := os.ReadFile("schema.graphql")
	must(t, err)
	if string(printed) != served.Print(schema) {
		t.Error("schema.graphql is not the schema: run go generate ./graph")
	}
}

// TestEverythingIsDescribed finds types, fields, arguments and values that nobody explains.
func TestEverythingIsDescribed(t *testing.T) {
	for _, d := range schema.Types {
		if d.BuiltIn || strings.HasPrefix(d.Name, "__") {
			continue
		}
		described(t, d.Name, d.Description)
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			described(t, d.Name+"."+f.Name, f.Description)
			for _, arg := range f.Arguments {
				described(t, d.Name+"."+f.Name+"."+arg.Name, arg.Description)
			}
		}
		for _, v := range d.EnumValues {
			described(t, d.Name+"."+v.Name, v.Description)
		}
	}
}

func described(t *testing.T, name, description string) {
	t.Helper()
	if strings.TrimSpace(description) == "" {
		t.Errorf("%s has no description", name)
	}
}

// TestSchemaConventions holds the schema to what its clients rely on.
func TestSchemaConventions(t *testing.T) {
	for _, f := range schema.Mutation.Fields {
		if f.Type.NonNull {
			t.Errorf("%s is not nullable: its failure would take the other mutations' answers with it", f.Name)
		}
		payload := schema.Types[f.Type.Name()]
		if failures := payload.Fields.ForName("userErrors"); failures == nil || failures.Type.String() != "[UserError!]!" {
			t.Errorf("%s has no userErrors", payload.Name)
		}
		input := f.Arguments.ForName("input")
		if f.Name == "reconcileNow" { // there is nothing to say, and nothing to repeat
			continue
		}
		if input == nil || !input.Type.NonNull {
			t.Errorf("%s has no input", f.Name)
			continue
		}
		if contended := payload.Fields.ForName("meta") != nil; contended {
			if k := schema.Types[input.Type.Name()].Fields.ForName("idempotencyKey"); k == nil || k.Type.String() != "UUID!" {
				t.Errorf("%s has no idempotencyKey", input.Type.Name())
			}
		}
	}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			if d == schema.Query && f.Name == "nodes" { // null at the place of what is not found, as everywhere in GraphQL
				continue
			}
			if list := f.Type.Elem; list != nil && d.Kind == ast.Object && !strings.HasPrefix(d.Name, "__") && !list.NonNull {
				t.Errorf("%s.%s is %s, want a list that holds no null", d.Name, f.Name, f.Type)
			}
		}
	}
}

// TestEnumsCoverTheCode finds values that Go code knows and the schema does not.
func TestEnumsCoverTheCode(t *testing.T) {
	for _, s := range lockprovider.Names() {
		if !model.Strategy(strings.ToUpper(string(s))).IsValid() {
			t.Errorf("Strategy has no %s", s)
		}
	}
	for _, f := range lockprovider.Families {
		if !model.Family(f).IsValid() {
			t.Errorf("Family has no %s", f)
		}
	}
	for _, kind := range []string{
		commerce.KindOrderPlaced, commerce.KindHoldCreated, commerce.KindHoldEnded, commerce.KindOrderPaid, commerce.KindOrderEnded, commerce.KindOrderRefunded, commerce.KindOrderReleased, commerce.KindOrderReturned, commerce.KindRefundCompleted,
		commerce.KindCouponIssued, commerce.KindCouponSpent, commerce.KindCouponReturned, commerce.KindPointsCharged,
		commerce.KindTransferCompleted, commerce.KindStockAdjusted, commerce.KindPointsAdjusted, commerce.KindAccountAdjusted,
	} {
		if !model.EntryKind(strings.ToUpper(strings.ReplaceAll(kind, ".", "_"))).IsValid() {
			t.Errorf("EntryKind has no %s", kind)
		}
	}
	for _, code := range []commerce.Code{
		commerce.OutOfStock, commerce.PurchaseLimitReached, commerce.TooManyPending, commerce.TooManyHolds, commerce.CouponExhausted, commerce.CouponAlreadyIssued, commerce.CouponNotValid,
		commerce.InsufficientFunds, commerce.VersionConflict, commerce.PriceChanged, commerce.LockTimeout, commerce.LockLost,
		commerce.IdempotencyMismatch, commerce.IdempotencyExpired, commerce.PaymentDeclined, commerce.InvalidState, commerce.NotFound,
		commerce.InvalidInput, commerce.Unavailable,
	} {
		if !model.ErrorCode(code).IsValid() {
			t.Errorf("ErrorCode has no %s", code)
		}
	}
}
