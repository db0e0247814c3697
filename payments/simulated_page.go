package payments

import (
	"html/template"
	"net/http"
	"strings"
)

// SimulatedPath is where a server has the page of the simulated gateway, followed by the ID of an attempt.
const SimulatedPath = "/simulated-gateway/"

var simulatedPage = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Simulated payment</title>
<h1>Simulated payment</h1>
<p>This page stands for the bank of the customer. No money is taken.</p>
{{if eq .State "REQUIRES_ACTION"}}<form method="post">
<button name="decision" value="confirm">Confirm the payment</button>
<button name="decision" value="refuse">Refuse the payment</button>
</form>{{else}}<p>The payment is {{.State}}. Go back to the shop.</p>{{end}}
</html>
`))

// Page is where customers confirm the payments for which the simulated gateway waits for them. Only the process that has authorized a
// payment knows that it waits.
func (g *Simulated) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempt := strings.TrimPrefix(r.URL.Path, SimulatedPath)
		g.mu.Lock()
		p, known := g.known.Get(attempt)
		if known && r.Method == http.MethodPost && p.state == StateRequiresAction {
			switch r.PostFormValue("decision") {
			case "confirm":
				p.state = StateAuthorized
			case "refuse":
				p.state = StateDeclined
			}
		}
		var shown Answer
		if known {
			shown = p.answer(attempt)
		}
		g.mu.Unlock()
		if !known {
			http.Error(w, "this instance of the shop knows no such payment", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
		_ = simulatedPage.Execute(w, shown)
	})
}
