package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/twmb/franz-go/pkg/kfake"

	"holdfast/lockprovider"
)

// watcher is a subscription of a client over WebSocket.
type watcher struct {
	t    *testing.T
	conn *websocket.Conn
	ctx  context.Context
}

func (u user) watch(t *testing.T, instance *process, query string, variables object) watcher {
	t.Helper()
	ctx := bounded(t)
	conn, _, err := websocket.Dial(ctx, instance.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	must(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	for _, m := range []object{
		{"type": "connection_init", "payload": object{"Authorization": "Bearer " + u.token}},
		{"type": "subscribe", "id": "1", "payload": object{"query": query, "variables": variables}},
	} {
		text, err := json.Marshal(m)
		must(t, err)
		must(t, conn.Write(ctx, websocket.MessageText, text))
	}
	return watcher{t, conn, ctx}
}

// until reads what is told until it is as wanted.
func (w watcher) until(want string) {
	w.t.Helper()
	var last string
	for last != want {
		_, text, err := w.conn.Read(w.ctx)
		if err != nil {
			w.t.Fatalf("%v; the last was %s, want %s", err, last, want)
		}
		var m struct {
			Type    string
			Payload struct{ Data json.RawMessage }
		}
		if json.Unmarshal(text, &m) == nil && m.Type == "next" {
			last = string(m.Payload.Data)
		}
	}
}

// TestSubscriptionsAcrossInstances watches at one instance what is done at the other, with every broker. Only one of them
// relays events; both ways are tried, so that the news has to go from the one that does to the other.
func TestSubscriptionsAcrossInstances(t *testing.T) {
	noLeaks(t)
	brokers := map[string]string{"channel": "channel", "redis": "redis"}
	if !testing.Short() {
		brokers["kafka"] = ""
	}
	for name, broker := range brokers {
		t.Run(name, func(t *testing.T) {
			s := openPostgres(t)
			s.broker = broker
			if name == "kafka" {
				cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
				must(t, err)
				t.Cleanup(cluster.Close)
				s.broker = "kafka://" + strings.Join(cluster.ListenAddrs(), ",")
			}
			// What is not heard would be found much later than the test takes.
			settings := append(all(lockprovider.AtomicSQL), set("subscriptions.refresh=1h", "subscriptions.interval=1ms")...)
			one, two := start(t, s.production(), serveArgs(settings)...), start(t, s.production(), serveArgs(settings)...)
			one.ready()
			two.ready()
			browser := browser(t)
			for _, pair := range [][2]*process{{one, two}, {two, one}} {
				here, there := pair[0], pair[1]
				root := signIn(t, browser, "root", true, here)
				product := root.product(t, 100, 5)
				stock := root.watch(t, there, `subscription($ids: [ID!]!) { stockChanged(productIds: $ids) { stock { available } } }`, object{"ids": []string{product}})
				stock.until(`{"stockChanged":{"stock":{"available":"5"}}}`)
				pending := buy(product, 2, "CARD")
				delete(pending, "payment")
				order := root.do(t, "placeOrder", pending).Order.ID
				stock.until(`{"stockChanged":{"stock":{"available":"3"}}}`)
				status := root.watch(t, there, `subscription($id: ID!) { orderUpdated(id: $id) { status } }`, object{"id": order})
				status.until(`{"orderUpdated":{"status":"PENDING"}}`)
				root.do(t, "payOrder", object{"idempotencyKey": key(), "orderId": order, "payment": object{"method": "CARD"}})
				status.until(`{"orderUpdated":{"status":"PAID"}}`)
			}
			one.stop()
			two.stop()
			s.audit(t)
		})
	}
}
