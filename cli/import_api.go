package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/app"
	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/lockprovider/lock"
)

// Bounds of one request: below the smallest http.maxBodyBytes that a shop has a reason to set, and of the time that it takes.
const (
	apiBatchBytes = 64 << 10
	apiBatchRows  = 200
	apiTimeout    = time.Minute
)

// apiTries is how often a request is sent that is answered with 429: too many of one user.
const apiTries = 20

const importMutation = `mutation Import($input: ProductsImportInput!) { productsImport(input: $input) {
	results { sku productId outcome delta available elsewhere userErrors { code message field retryable } }
	userErrors { code message retryable } } }`

// The variables and the answer of the mutation.
type (
	apiProduct struct {
		SKU         string    `json:"sku"`
		FormerSKUs  []string  `json:"formerSkus,omitempty"`
		Name        *string   `json:"name,omitempty"`
		Description *string   `json:"description,omitempty"`
		Price       *apiMoney `json:"price,omitempty"`
		Stock       *string   `json:"stock,omitempty"` // a number of 64 bits
		Archived    *bool     `json:"archived,omitempty"`

		Options      []string `json:"options,omitempty"`
		OptionValues []string `json:"optionValues,omitempty"`

		Handle      string     `json:"handle,omitempty"`
		Vendor      *string    `json:"vendor,omitempty"`
		ProductType *string    `json:"productType,omitempty"`
		Tags        []string   `json:"tags,omitzero"`
		Images      []apiImage `json:"images,omitzero"`
		Category    []string   `json:"category,omitempty"`
	}
	apiImage struct {
		URL     string `json:"url"`
		AltText string `json:"altText,omitempty"`
	}
	apiMoney struct {
		AmountMinor string `json:"amountMinor"`
		Currency    string `json:"currency"`
	}
	apiRefusal struct {
		Code      commerce.Code `json:"code"`
		Message   string        `json:"message"`
		Field     []string      `json:"field"`
		Retryable bool          `json:"retryable"`
	}
	apiResult struct {
		SKU        string       `json:"sku"`
		ProductID  string       `json:"productId"`
		Outcome    string       `json:"outcome"`
		Delta      json.Number  `json:"delta"`
		Available  json.Number  `json:"available"`
		Elsewhere  bool         `json:"elsewhere"`
		UserErrors []apiRefusal `json:"userErrors"`
	}
	apiAnswer struct {
		Data struct {
			ProductsImport *struct {
				Results    []apiResult  `json:"results"`
				UserErrors []apiRefusal `json:"userErrors"`
			} `json:"productsImport"`
		} `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
)

// apiImport imports rows over the API of a server.
type apiImport struct {
	endpoint, token string
	client          *http.Client
	mode            commerce.StockMode
	check           bool
}

// overAPI returns what imports rows over the API of a server.
func (c *importCommand) overAPI(cfg config.Config, server string, mode commerce.StockMode) (importBatch, error) {
	token := c.Token
	if token == "" {
		if cfg.Auth.JWKS != "" {
			return nil, errors.New("give the token of an administrator with --token: those of auth.jwks are issued elsewhere")
		}
		var err error
		roles := []auth.Role{auth.Customer, auth.Admin}
		if token, err = auth.Issue(app.TokenSecret(cfg), cfg.Auth.Issuer, cfg.Auth.Audience, importer.UserID, roles, cfg.Auth.TokenTTL); err != nil {
			return nil, err
		}
	}
	a := &apiImport{
		endpoint: strings.TrimSuffix(strings.TrimSuffix(server, "/"), "/graphql") + "/graphql", token: token,
		client: &http.Client{Timeout: apiTimeout}, mode: mode, check: c.Check,
	}
	return a.run, nil
}

// reachable is an address to connect to, of one that a server listens on.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

func (a *apiImport) run(ctx context.Context, rows []commerce.ImportRow) ([]commerce.ImportResult, error) {
	var results []commerce.ImportResult
	var batch []json.RawMessage
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		some, err := a.send(ctx, batch)
		results, batch, size = append(results, some...), nil, 0
		return err
	}
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && end-start < apiBatchRows && rows[end].IsOfProduct(rows[start]) {
			end++
		}
		product, bytes, err := encodedProduct(rows[start:end])
		if err != nil {
			return nil, err
		}
		if len(batch)+len(product) > apiBatchRows || size+bytes > apiBatchBytes {
			if err := flush(); err != nil {
				return results, err
			}
		}
		batch, size, start = append(batch, product...), size+bytes, end
	}
	return results, flush()
}

// encodedProduct encodes the rows of one product, which are sent together, and returns their size in bytes. The server knows from the first one
// what the others say of the product.
func encodedProduct(rows []commerce.ImportRow) (encoded []json.RawMessage, size int, err error) {
	for i, row := range rows {
		p := apiProductOf(row)
		if i > 0 {
			p = p.without(apiProductOf(rows[0]))
		}
		text, err := json.Marshal(p)
		if err != nil {
			return nil, 0, err
		}
		encoded, size = append(encoded, text), size+len(text)
	}
	return encoded, size, nil
}

// without leaves out what the first row of the product says.
func (p apiProduct) without(first apiProduct) apiProduct {
	p.Name, p.Description = unless(p.Name, first.Name), unless(p.Description, first.Description)
	p.Archived = unless(p.Archived, first.Archived)
	p.Vendor, p.ProductType = unless(p.Vendor, first.Vendor), unless(p.ProductType, first.ProductType)
	if slices.Equal(p.Options, first.Options) {
		p.Options = nil
	}
	if slices.Equal(p.Tags, first.Tags) {
		p.Tags = nil
	}
	if slices.Equal(p.Images, first.Images) {
		p.Images = nil
	}
	if slices.Equal(p.Category, first.Category) {
		p.Category = nil
	}
	return p
}

// unless returns nil for what is the same as in the first row.
func unless[T comparable](p, first *T) *T {
	if p != nil && first != nil && *p == *first {
		return nil
	}
	return p
}

func apiProductOf(row commerce.ImportRow) apiProduct {
	p := apiProduct{
		SKU: row.SKU, FormerSKUs: row.FormerSKUs, Description: row.Description, Archived: row.OffSale,
		Options: row.Options, OptionValues: row.OptionValues,
		Handle: row.Handle, Vendor: row.Vendor, ProductType: row.ProductType, Tags: row.Tags, Category: row.Category,
	}
	if row.Images != nil {
		p.Images = make([]apiImage, len(row.Images))
	}
	for i, image := range row.Images {
		p.Images[i] = apiImage{URL: image.URL, AltText: image.AltText}
	}
	if row.Name != "" {
		p.Name = &row.Name
	}
	if row.Price != nil {
		p.Price = &apiMoney{AmountMinor: strconv.FormatInt(row.Price.Minor, 10), Currency: row.Price.Currency}
	}
	if row.Stock != nil {
		stock := strconv.FormatInt(*row.Stock, 10)
		p.Stock = &stock
	}
	return p
}

// send sends one request, again if the server is busy, and maps the answer.
func (a *apiImport) send(ctx context.Context, products []json.RawMessage) ([]commerce.ImportResult, error) {
	body, err := json.Marshal(map[string]any{
		"query": importMutation,
		"variables": map[string]any{"input": map[string]any{
			"products": products, "stock": strings.ToUpper(string(a.mode)), "check": a.check,
		}},
	})
	if err != nil {
		return nil, err
	}
	answer, err := a.post(ctx, body)
	if err != nil {
		return nil, err
	}
	payload := answer.Data.ProductsImport
	switch {
	case len(answer.Errors) > 0:
		return nil, fmt.Errorf("%s refuses: %s", a.endpoint, answer.Errors[0].Message)
	case payload == nil:
		return nil, fmt.Errorf("%s does not answer as a holdfast server does", a.endpoint)
	case len(payload.UserErrors) > 0:
		return nil, fmt.Errorf("%s refuses: %s", a.endpoint, payload.UserErrors[0].Message)
	case len(payload.Results) != len(products):
		return nil, fmt.Errorf("%s answers with %d results for %d products", a.endpoint, len(payload.Results), len(products))
	}
	results := make([]commerce.ImportResult, len(products))
	for i, r := range payload.Results {
		results[i] = r.result()
	}
	return results, nil
}

func (r apiResult) result() commerce.ImportResult {
	result := commerce.ImportResult{
		Outcome: commerce.ImportOutcome(strings.ToLower(r.Outcome)), ProductID: r.ProductID, SKU: r.SKU, Elsewhere: r.Elsewhere,
	}
	result.Delta, _ = r.Delta.Int64() // the server writes numbers
	result.Available, _ = r.Available.Int64()
	var refusals commerce.Errors
	for _, e := range r.UserErrors {
		refusals = append(refusals, &commerce.Error{Code: e.Code, Message: e.Message, Field: e.Field, Retryable: e.Retryable})
	}
	if refusals != nil {
		result.Err = refusals
	}
	return result
}

// errBusy is an answer after which the request is sent again.
var errBusy = errors.New("the server is busy")

func (a *apiImport) post(ctx context.Context, body []byte) (answer apiAnswer, err error) {
	for try := 1; ; try++ {
		var pause time.Duration
		answer, pause, err = a.postOnce(ctx, body)
		if err == nil || pause == 0 || try == apiTries {
			return answer, err
		}
		if err := lock.Pause(ctx, pause); err != nil {
			return answer, err
		}
	}
}

// postOnce returns how long to wait before the request is sent again; 0 means not at all.
func (a *apiImport) postOnce(ctx context.Context, body []byte) (answer apiAnswer, pause time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint, bytes.NewReader(body))
	if err != nil {
		return answer, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := a.client.Do(request)
	if err != nil {
		return answer, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return answer, time.Duration(max(seconds, 1)) * time.Second, errBusy
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, 0, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, 0, fmt.Errorf("%s answers %s: %.200s", a.endpoint, response.Status, text)
	}
	return answer, 0, nil
}
