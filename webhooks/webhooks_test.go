package webhooks_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/ent/order"
	"holdfast/ent/paymentattempt"
	"holdfast/internal/testenv"
	"holdfast/payments"
	"holdfast/webhooks"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const secret = "a secret of the tests, 32 bytes or longer"

// server is a shop whose webhook is served over HTTP.
type server struct {
	shop     *app.Shop
	url      string
	log      *bytes.Buffer
	registry *prometheus.Registry
}

func serve(t *testing.T, databaseURL string) *server {
	t.Helper()
	cfg := config.Default()
	cfg.Database.URL, cfg.Redis.URL = setting.URL(databaseURL), clients.EmbeddedRedis
	cfg.Payment.WebhookSecret = secret
	s := &server{log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	var err error
	s.shop, err = app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), app.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.shop.Close() })
	mux := http.NewServeMux()
	mux.Handle(webhooks.Pattern, webhooks.New(s.shop.Services.Orders, slog.New(slog.NewTextHandler(s.log, nil)), s.registry))
	listening := httptest.NewServer(mux)
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

// send returns the status and the body of the answer to a message that is signed.
func (s *server) send(t *testing.T, method, path string, body []byte, signature string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	must(t, err)
	request.Header.Set(payments.SimulatedSignature, signature)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, strings.TrimSpace(string(text))
}

// counted are the counts of holdfast_webhooks_total by outcome.
func (s *server) counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := s.registry.Gather()
	must(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "holdfast_webhooks_total" {
			for _, m := range family.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}

func TestAnswers(t *testing.T) {
	for name, database := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { t.Helper(); return "sqlite://" + filepath.Join(t.TempDir(), "shop.db") },
		"postgres": func(t *testing.T) string { t.Helper(); return testenv.Postgres(t) },
		"mariadb":  func(t *testing.T) string { t.Helper(); return testenv.MariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) { testAnswers(t, serve(t, database(t))) })
	}
}

func testAnswers(t *testing.T, s *server) {
	const path = "/webhooks/simulated"
	admin, customer := commerce.Viewer{UserID: "root", Admin: true}, commerce.Viewer{UserID: "ann"}
	product, err := s.shop.Services.Catalog.Create(t.Context(), admin, commerce.CreateProduct{
		SKU: "A", Name: "A", Price: commerce.Money{Minor: 1000, Currency: "USD"}, Stock: 5,
	})
	must(t, err)
	placed, err := s.shop.Services.Orders.Place(t.Context(), customer, commerce.PlaceOrder{
		Key: uuid.New(), Lines: []commerce.Line{{ProductID: product.ID, Quantity: 1}}, Payment: &commerce.Payment{Method: "CARD"},
	})
	must(t, err)
	if placed.Order.Status != order.StatusPAID {
		t.Fatalf("the order is %s", placed.Order.Status)
	}
	attempt, err := s.shop.DB.Ent.PaymentAttempt.Query().Only(t.Context())
	must(t, err)
	message := func(id, attempt string) []byte {
		body, err := json.Marshal(payments.SimulatedMessage{ID: id, Attempt: attempt, State: payments.StateRefunded, Captured: 1000, Refunded: 1000})
		must(t, err)
		return body
	}
	now := s.shop.Clock.Now()
	sign := func(body []byte) string { return payments.SignSimulated(secret, body, now) }
	right, unknown := message("evt_1", attempt.ID), message("evt_2", "pat_unknown")
	private := []byte("hunter2")
	large := bytes.Repeat([]byte(" "), 256<<10+1)
	for _, test := range []struct {
		what, method, path string
		body               []byte
		signature          string
		status             int
		answer             string
	}{
		{"another method", http.MethodGet, path, nil, "", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{"another gateway", http.MethodPost, "/webhooks/stripe", right, sign(right), http.StatusNotFound, "elsewhere"},
		{"no gateway", http.MethodPost, "/webhooks/none", right, sign(right), http.StatusNotFound, "elsewhere"},
		{"no signature", http.MethodPost, path, right, "", http.StatusBadRequest, "refused"},
		{"wrong signature", http.MethodPost, path, right, sign(unknown), http.StatusBadRequest, "refused"},
		{"old signature", http.MethodPost, path, right, payments.SignSimulated(secret, right, now.Add(-time.Hour)), http.StatusBadRequest, "refused"},
		{"no message", http.MethodPost, path, private, sign(private), http.StatusBadRequest, "refused"},
		{"too large", http.MethodPost, path, large, sign(large), http.StatusRequestEntityTooLarge, "too_large"},
		{"unknown", http.MethodPost, path, unknown, sign(unknown), http.StatusOK, "unknown"},
		{"right", http.MethodPost, path, right, sign(right), http.StatusOK, "applied"},
		{"repeated", http.MethodPost, path, right, sign(right), http.StatusOK, "duplicate"},
	} {
		if status, answer := s.send(t, test.method, test.path, test.body, test.signature); status != test.status || answer != test.answer {
			t.Errorf("%s: answered %d %q, want %d %q", test.what, status, answer, test.status, test.answer)
		}
	}
	attempt, err = s.shop.DB.Ent.PaymentAttempt.Get(t.Context(), attempt.ID)
	must(t, err)
	if attempt.Status != paymentattempt.StatusREFUNDED {
		t.Errorf("the attempt is %s", attempt.Status)
	}

	// Without the database a message is not taken, and so comes again.
	must(t, s.shop.DB.Close())
	later := message("evt_3", attempt.ID)
	if status, answer := s.send(t, http.MethodPost, path, later, sign(later)); status != http.StatusServiceUnavailable || answer != "failed" {
		t.Errorf("without the database: answered %d %q", status, answer)
	}

	want := map[string]float64{
		"applied": 1, "duplicate": 1, "elsewhere": 2, "failed": 1, "refused": 4, "too_large": 1, "unknown": 1,
	}
	if got := s.counted(t); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	log := s.log.String()
	if !strings.Contains(log, "webhook not recorded") {
		t.Errorf("the log lacks what was not recorded:\n%s", log)
	}
	if strings.Contains(log, "webhook refused") { // of which anybody can send any number
		t.Errorf("the log has what was refused:\n%s", log)
	}
	for _, private := range []string{secret, attempt.ID, "hunter2", sign(right), sign(later)} {
		if strings.Contains(log, private) {
			t.Errorf("the log tells %q:\n%s", private, log)
		}
	}
}
