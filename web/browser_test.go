package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

//go:embed testdata/introspection.json
var introspection []byte

// TestPlaygroundInBrowser lets Chromium execute every tab against a server that tells what it was asked.
// HOLDFAST_SCREENSHOTS names a directory for pictures of the page.
func TestPlaygroundInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	node, chromium := lookup("node"), lookup("chromium", "chromium-browser", "google-chrome")
	if node == "" || chromium == "" {
		t.Skip("needs node and Chromium in PATH")
	}
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		t.Skip("needs npm ci")
	}

	const token = "Bearer demo"
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", Playground(PlaygroundOptions{
		Title:   "holdfast",
		Headers: map[string]string{"Authorization": token},
		Tabs: []Tab{
			{
				Title:     "What is for sale",
				Query:     "query Products($first: Int) {\n  products(first: $first)\n}\n",
				Variables: "{\n  \"first\": 5\n}",
			},
			{
				Title:     "Buy one, as an administrator",
				Query:     "mutation PlaceOrder($product: ID!) {\n  placeOrder(product: $product, quantity: 1)\n}\n",
				Variables: "{\n  \"product\": \"1\"\n}",
				Headers:   "{\n  \"Authorization\": \"Bearer admin\"\n}",
			},
			{Title: "Watch the stock", Query: "subscription StockChanged {\n  stockChanged(product: 1)\n}\n"},
		},
	}))
	mux.Handle("/assets/", Assets())
	mux.HandleFunc("/graphql", echo)
	server := httptest.NewServer(mux)
	defer server.Close()

	args := []string{"tests/playground.mjs", server.URL + "/"}
	if dir := os.Getenv("HOLDFAST_SCREENSHOTS"); dir != "" {
		args = append(args, "--screenshots", dir)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stderr.String(), stdout.String())
	}

	want := strings.Join([]string{
		`{"tab":"Products","response":{"data":{"authorization":"Bearer demo","operationName":"Products","variables":{"first":5}}}}`,
		`{"tab":"PlaceOrder","response":{"data":{"authorization":"Bearer admin","operationName":"PlaceOrder","variables":{"product":"1"}}}}`,
		`{"tab":"StockChanged","response":{"data":{"authorization":"Bearer demo","operationName":"StockChanged"}}}`,
		``,
	}, "\n")
	if got := stdout.String(); got != want {
		t.Errorf("the tabs answered\n%s\nwant\n%s", got, want)
	}
}

func lookup(names ...string) string {
	for _, name := range names {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	return ""
}

type request struct {
	OperationName string          `json:"operationName"`
	Variables     json.RawMessage `json:"variables"`
}

func (q request) echo(authorization string) map[string]any {
	data := map[string]any{"authorization": authorization, "operationName": q.OperationName}
	if len(q.Variables) > 0 {
		data["variables"] = q.Variables
	}
	return map[string]any{"data": data}
}

// echo is as much of a GraphQL server as the Playground needs to believe in one: it answers introspection, and every
// other operation with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		if err := echoSubscription(w, r); err != nil && !errors.Is(err, io.EOF) {
			fmt.Fprintln(os.Stderr, "fake subscription:", err)
		}
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/graphql-response+json")
	if q.OperationName == "IntrospectionQuery" {
		_, _ = w.Write(introspection)
		return
	}
	_ = json.NewEncoder(w).Encode(q.echo(r.Header.Get("Authorization")))
}

// echoSubscription speaks the least of RFC 6455 and graphql-transport-ws that one subscription with one event takes.
func echoSubscription(w http.ResponseWriter, r *http.Request) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(accept[:]))
	if err != nil {
		return err
	}

	var authorization string
	for {
		text, err := readFrame(buffered.Reader)
		if err != nil {
			return err
		}
		var m struct {
			ID      string
			Type    string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		switch m.Type {
		case "connection_init":
			var payload struct{ Authorization string }
			if err := json.Unmarshal(m.Payload, &payload); err != nil {
				return err
			}
			authorization = payload.Authorization
			err = writeFrame(conn, map[string]any{"type": "connection_ack"})
		case "subscribe":
			var q request
			if err := json.Unmarshal(m.Payload, &q); err != nil {
				return err
			}
			err = writeFrame(conn, map[string]any{"id": m.ID, "type": "next", "payload": q.echo(authorization)})
		}
		if err != nil {
			return err
		}
	}
}

// readFrame returns the text of one masked, unfragmented frame; io.EOF stands for a close frame.
func readFrame(r *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 {
		return nil, io.EOF
	}
	length := uint16(head[1] & 0x7f)
	if length == 126 {
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return nil, err
		}
	}
	masked := make([]byte, 4+int(length))
	if _, err := io.ReadFull(r, masked); err != nil {
		return nil, err
	}
	mask, text := masked[:4], masked[4:]
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return text, nil
}

func writeFrame(w io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	frame := []byte{0x81, byte(len(text))}
	if len(text) > 125 {
		frame = binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(text)))
	}
	_, err = w.Write(append(frame, text...))
	return err
}
