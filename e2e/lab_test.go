package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLabPage runs experiments of a development server from its page /lab: by keyboard, on a phone, in the dark. The control
// loses money there, too.
func TestLabPage(t *testing.T) {
	s := browserScript(t, "tests/lab.mjs")
	noLeaks(t)
	server := boot(t, openSQLite(t).development())
	s.run(t, 5*time.Minute, nil, server.url)
	server.stop()
}

// TestLabPageAsksForAToken: in production, the page comes without a token.
func TestLabPageAsksForAToken(t *testing.T) {
	s := browserScript(t, "tests/lab.mjs")
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.production())
	token := func(flags ...string) string {
		return strings.TrimSpace(command(t, stores.production(), append([]string{"token", "--user", "alice"}, flags...)...))
	}
	s.run(t, 5*time.Minute, nil, server.url, "--mode", "sign-in", "--admin", token("--admin"), "--customer", token())
	server.stop()
}

// TestExperimentsAreOffInProduction unless they are switched on: they take the machine away from the shop.
func TestExperimentsAreOffInProduction(t *testing.T) {
	noLeaks(t)
	stores := openSQLite(t)
	for _, test := range []struct {
		settings []string
		page     int
		code     string
	}{
		{set("profile=production", "log.format=text"), http.StatusNotFound, "INVALID_STATE"},
		{set("profile=production", "log.format=text", "experiments.enabled=true"), http.StatusOK, "INVALID_INPUT"}, // it gets as far as the plan
	} {
		server := boot(t, stores.production(), test.settings...)
		response, err := http.Get(server.url + "/lab")
		must(t, err)
		page, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		wantEqual(t, "status of /lab", response.StatusCode, test.page)
		if strings.Contains(string(page), "eyJ") {
			t.Errorf("the page holds a token:\n%s", page)
		}

		token := strings.TrimSpace(command(t, stores.production(), "token", "--user", "alice", "--admin"))
		request, err := http.NewRequest(http.MethodPost, server.url+"/graphql", strings.NewReader(
			`{"query": "mutation { startExperiment(input: {rounds: 0}) { userErrors { code } } }"}`))
		must(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response, err = http.DefaultClient.Do(request)
		must(t, err)
		var answer struct {
			Data struct {
				StartExperiment struct{ UserErrors []struct{ Code string } }
			}
		}
		must(t, json.NewDecoder(response.Body).Decode(&answer))
		must(t, response.Body.Close())
		if failures := answer.Data.StartExperiment.UserErrors; len(failures) != 1 || failures[0].Code != test.code {
			t.Errorf("%v: %+v, want %s", test.settings, failures, test.code)
		}
		server.stop()
	}
	http.DefaultClient.CloseIdleConnections()
}
