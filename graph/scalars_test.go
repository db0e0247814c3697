package graph_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestScalarsAreStrict sends values of a kind that a scalar does not take, as variables and written into the document.
// The request is refused as the caller's mistake, and nothing is executed.
func TestScalarsAreStrict(t *testing.T) {
	a := newAPI(t, settings{})
	const (
		first  = `{"query":"query($v: Int) { products(first: $v) { nodes { id } } }","variables":{"v":VALUE}}`
		search = `{"query":"query($v: String) { products(filter: {search: $v}) { nodes { id } } }","variables":{"v":VALUE}}`
		all    = `{"query":"query($v: Boolean) { products(filter: {includeArchived: $v}) { nodes { id } } }","variables":{"v":VALUE}}`
		id     = `{"query":"query($v: ID!) { node(id: $v) { id } }","variables":{"v":VALUE}}`
		amount = `{"query":"mutation($v: Int64!) { chargePoints(input: {idempotencyKey: \"0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1\", amount: $v}) { userErrors { code } } }","variables":{"v":VALUE}}`
		uuid   = `{"query":"mutation($v: UUID!) { chargePoints(input: {idempotencyKey: $v, amount: 0}) { userErrors { code } } }","variables":{"v":VALUE}}`
		until  = `{"query":"mutation($v: DateTime) { couponCreate(input: {name: \"\", discountKind: FIXED, discountValue: 0, quota: 0, validUntil: $v}) { userErrors { code } } }","variables":{"v":VALUE}}`
		order  = `{"query":"query($v: ProductOrder) { products(orderBy: $v) { nodes { id } } }","variables":{"v":VALUE}}`
	)
	for _, c := range []struct {
		name, body string
		good, bad  []string
	}{
		{
			"Int", first,
			[]string{`1`, `100`, `null`},
			[]string{`"1"`, `1.5`, `1e1`, `true`, `[1]`, `{}`, `2147483648`, `-2147483649`, `99999999999999999999`},
		},
		{"String", search, []string{`"1"`, `""`, `"ünïcode"`, `null`}, []string{`1`, `1.5`, `true`, `["a"]`, `{}`, `"a\u0000b"`}},
		{"Boolean", all, []string{`true`, `false`, `null`}, []string{`"true"`, `1`, `0`, `{}`}},
		{
			"ID", id,
			[]string{`"prod_1"`, `1`, `""`, `"user_auth0|A.b@c+d-e"`, `"` + strings.Repeat("a", 80) + `"`},
			[]string{
				`1.5`, `1e3`, `true`, `["a"]`, `{}`, `"\u0000"`, `"p1 p2"`, `"prod_1 "`, `"prod_1:2"`, `"prod_1\n"`, `"prodü"`, `"a,b"`, `"*"`,
				`"` + strings.Repeat("a", 81) + `"`,
			},
		},
		{
			"Int64", amount,
			[]string{`"0"`, `0`, `"-1"`, `-1`, `"9007199254740991"`, `9007199254740991`, `-9007199254740991`},
			[]string{
				`1.0`, `1.5`, `1e3`, `"1.0"`, `"1e3"`, `" 1"`, `"+1"`, `"01"`, `""`, `"0x1"`, `"1_000"`, `"-"`, `"-0x"`, `true`, `[]`, `{}`,
				`"9007199254740992"`, `9007199254740992`, `-9007199254740992`, `99999999999999999999`, `"99999999999999999999"`,
			},
		},
		{
			"UUID", uuid,
			[]string{`"0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1"`, `"0198F1C2-7C3A-7E3B-9D52-0A6C1F4BE7D1"`},
			[]string{
				`"0198f1c27c3a7e3b9d520a6c1f4be7d1"`, `"{0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1}"`,
				`"urn:uuid:0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7d1"`, `"0198f1c2-7c3a-7e3b-9d52-0a6c1f4be7dg"`,
				`"00000000-0000-0000-0000-000000000000"`, `""`, `1`, `true`, `{}`,
			},
		},
		{
			"DateTime", until,
			[]string{
				`"2030-01-01T00:00:00Z"`, `"2030-01-01T00:00:00.123456+02:00"`, `"9999-12-31T23:59:59Z"`, `"0000-12-31T23:30:00-01:00"`, `null`,
			},
			[]string{
				`"2030-01-01"`, `"2030-01-01T00:00:00"`, `"2030-13-01T00:00:00Z"`, `"tomorrow"`, `""`, `1893456000`, `true`,
				`"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`, `"0001-01-01T00:00:00+01:00"`, // not of years 1 to 9999 in UTC
			},
		},
		{"enum", order, []string{`"NAME"`, `null`}, []string{`"name"`, `"PRICE"`, `1`, `true`}},
	} {
		for _, value := range c.good {
			if r := a.literal(t, c.body, value); len(r.Errors) > 0 {
				t.Errorf("%s %s as a variable: %s", c.name, value, r.body)
			}
			if r := a.inlined(t, c.name, c.body, value); len(r.Errors) > 0 {
				t.Errorf("%s %s in the document: %s", c.name, value, r.body)
			}
		}
		for _, value := range c.bad {
			wantRefused(t, c.name+" "+value+" as a variable", a.literal(t, c.body, value))
			wantRefused(t, c.name+" "+value+" in the document", a.inlined(t, c.name, c.body, value))
		}
	}
}

func wantRefused(t *testing.T, what string, r result) {
	t.Helper()
	if len(r.Errors) == 0 {
		t.Errorf("%s is taken: %s", what, r.body)
		return
	}
	if code := r.Errors[0].Extensions["code"]; code != "BAD_USER_INPUT" && code != "GRAPHQL_VALIDATION_FAILED" && code != "GRAPHQL_PARSE_FAILED" {
		t.Errorf("%s: code %v: %s", what, code, r.body)
	}
}

// literal sends a body with a value in its variables, as an administrator.
func (a *api) literal(t *testing.T, body, value string) result {
	t.Helper()
	return a.raw(t, admin, strings.Replace(body, "VALUE", value, 1))
}

// inlined sends the same value written into the document.
func (a *api) inlined(t *testing.T, name, body, value string) result {
	t.Helper()
	if name == "enum" {
		value = strings.Trim(value, `"`)
	}
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
	body = strings.Replace(body, `"variables":{"v":VALUE}`, `"variables":{}`, 1)
	open, end := strings.Index(body, "($v"), strings.Index(body, ") {")
	body = body[:open] + body[end+1:]
	return a.raw(t, admin, strings.Replace(body, "$v", escaped, 1))
}

func (a *api) raw(t *testing.T, user, body string) result {
	t.Helper()
	header := http.Header{"Content-Type": {"application/json"}}
	if user != nobody {
		header.Set("Authorization", "Bearer "+token(t, user))
	}
	return a.with(t).send(http.MethodPost, "", header, []byte(body))
}

// TestBadInputObjects sends what does not fit the input types.
func TestBadInputObjects(t *testing.T) {
	a := newAPI(t, settings{})
	for name, input := range map[string]object{
		"nothing":            {},
		"null key":           {"idempotencyKey": nil, "amount": 1},
		"malformed key":      {"idempotencyKey": "alice-1", "amount": 1},
		"no amount":          {"idempotencyKey": key()},
		"null amount":        {"idempotencyKey": key(), "amount": nil},
		"an unknown field":   {"idempotencyKey": key(), "amount": 1, "user": "bob"},
		"an object for it":   {"idempotencyKey": key(), "amount": object{"n": 1}},
		"a list for it":      {"idempotencyKey": key(), "amount": []any{1}},
		"a deep list for it": {"idempotencyKey": key(), "amount": []any{[]any{[]any{}}}},
	} {
		wantRefused(t, name, a.do(alice, chargePoints, vars(input)))
	}
	a.ok(alice, `{ me { wallet { balance } } }`, nil).want("me.wallet.balance", 1_000_000)
}
