package transport_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"holdfast/graph/transport"
)

// patience bounds the wait for a message, on a loaded machine too.
const patience = 2 * time.Minute

// counting is a schema whose subscription gives out what comes over a channel, even if it has been
// canceled meanwhile: its response was ready just before. An empty text stands for an error.
type counting struct {
	ready chan string
	asked chan struct{} // a response has been asked for
}

var countingSchema = gqlparser.MustLoadSchema(&ast.Source{Input: `type Query { n: Int } type Subscription { n: Int }`})

func (counting) Schema() *ast.Schema { return countingSchema }

func (counting) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (s counting) Exec(context.Context) graphql.ResponseHandler {
	return func(context.Context) *graphql.Response {
		s.asked <- struct{}{}
		data, ok := <-s.ready
		if !ok {
			return nil
		}
		if data == "" {
			return &graphql.Response{Errors: gqlerror.List{gqlerror.Errorf("failed")}}
		}
		return &graphql.Response{Data: json.RawMessage(data)}
	}
}

// TestNothingFollowsComplete completes a subscription while its next response, its end or its error is on the way. What was on
// the way is not sent, so that the client may use the ID again at once.
func TestNothingFollowsComplete(t *testing.T) {
	for name, last := range map[string]func(ready chan string){
		"next":     func(ready chan string) { ready <- `{"n":2}` },
		"complete": func(ready chan string) { close(ready) },
		"error":    func(ready chan string) { ready <- `` },
	} {
		t.Run(name, func(t *testing.T) {
			schema := counting{make(chan string), make(chan struct{})}
			asked := func() {
				t.Helper()
				select {
				case <-schema.asked:
				case <-t.Context().Done():
				case <-time.After(patience):
					t.Fatal("nobody asked for a response")
				}
			}
			handler, err := transport.New(transport.Options{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(handler)
			defer server.Close()
			defer func() {
				if err := handler.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseNow() }()
			send := func(text string) {
				t.Helper()
				if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			want := func(want string) {
				t.Helper()
				_, text, err := conn.Read(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if string(text) != want {
					t.Fatalf("got %s, want %s", text, want)
				}
			}
			send(`{"type":"connection_init"}`)
			want(`{"type":"connection_ack"}`)
			send(`{"type":"subscribe","id":"1","payload":{"query":"subscription { n }"}}`)
			asked()
			schema.ready <- `{"n":1}`
			want(`{"type":"next","id":"1","payload":{"data":{"n":1}}}`)

			asked()
			send(`{"type":"complete","id":"1"}`)
			send(`{"type":"ping"}`)
			want(`{"type":"pong"}`) // complete has been read
			last(schema.ready)
			if name != "complete" {
				close(schema.ready)
			}
			// The same ID is another operation, whose messages are all that comes.
			send(`{"type":"subscribe","id":"1","payload":{"query":"{ nothing }"}}`)
			_, text, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var m struct{ Type, ID string }
			if err := json.Unmarshal(text, &m); err != nil || m.Type != "error" || m.ID != "1" {
				t.Errorf("after complete: %s", text)
			}
			send(`{"type":"ping"}`)
			want(`{"type":"pong"}`)
		})
	}
}
