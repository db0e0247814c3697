package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// killer counts the effects of a server, and kills it at one of them. It is a proxy in front of
// PostgreSQL, and of Redis after countScripts. An effect has the name of a statement and its table,
// or of a script; a commit has the names of what its transaction has written.
type killer struct {
	url  string // of the database, by the proxy
	kill func()
	ctx  context.Context

	mu     sync.Mutex
	on     bool
	at, n  int
	only   string         // "": the effects are counted, else only those of this name
	seen   map[string]int // effects by their names, of this run
	most   map[string]int // the same of the run that had most
	after  bool
	struck string
}

// point is an effect by its name, and how many of that name there were up to it in a run.
type point struct {
	what  string
	nth   int
	after bool
}

// Results of an effect.
const (
	goOn = iota
	killBefore
	killAfter
)

// armAt has the killer strike at an effect: the n-th of a name, or of all, if the point has none.
func (k *killer) armAt(p point) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on, k.only, k.at, k.n, k.after, k.struck, k.seen = true, p.what, p.nth, 0, p.after, "", map[string]int{}
}

// hit is where the killer has struck.
func (k *killer) hit() point {
	k.mu.Lock()
	defer k.mu.Unlock()
	return point{k.struck, k.seen[k.struck], k.after}
}

func (k *killer) disarm() (hit bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = false
	return k.struck != ""
}

func (k *killer) armed() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.on }

func (k *killer) wasHit() bool { return k.what() != "" }

func (k *killer) what() string { k.mu.Lock(); defer k.mu.Unlock(); return k.struck }

// effect counts one, and says whether the server is to be killed.
func (k *killer) effect(what string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on || k.struck != "" {
		return goOn
	}
	k.n++
	k.seen[what]++
	k.most[what] = max(k.most[what], k.seen[what])
	at := k.n
	switch k.only {
	case "":
	case what:
		at = k.seen[what]
	default:
		return goOn
	}
	if at != k.at {
		return goOn
	}
	k.struck = what
	if k.after {
		return killAfter
	}
	return killBefore
}

func newKiller(t *testing.T, database string) *killer {
	t.Helper()
	to, err := url.Parse(database)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	k := &killer{kill: func() {}, ctx: t.Context(), most: map[string]int{}}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	target := to.Host
	to.Host = listener.Addr().String()
	k.url = to.String()
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { k.serve(client, target) })
		}
	})
	return k
}

// serve copies one connection of the server to PostgreSQL, message by message.
func (k *killer) serve(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var mute atomic.Bool
	go k.copyAnswers(client, server, &mute)
	message := func(header int) ([]byte, error) {
		head := make([]byte, header)
		if _, err := io.ReadFull(client, head); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[header-4:])-4)
		_, err := io.ReadFull(client, body)
		return slices.Concat(head, body), err
	}
	first, err := message(4)
	if err != nil {
		return
	}
	if _, err := server.Write(first); err != nil {
		return
	}
	statements, begun := map[string]string{}, false
	var wrote []string // in this transaction
	for {
		m, err := message(5)
		if err != nil {
			return
		}
		text := ""
		switch m[0] {
		case 'P':
			name, rest, _ := bytes.Cut(m[5:], []byte{0})
			sql, _, _ := bytes.Cut(rest, []byte{0})
			statements[string(name)] = string(sql)
		case 'B':
			_, rest, _ := bytes.Cut(m[5:], []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			text = statements[string(name)]
		case 'Q':
			sql, _, _ := bytes.Cut(m[5:], []byte{0})
			text = string(sql)
		}
		what := ""
		switch found := writing.FindStringSubmatch(text); {
		case found != nil && !strings.Contains(text, `SET "published_at"`):
			what = strings.ToLower(found[1]) + " " + found[2]
			wrote = append(wrote, what)
			if !begun {
				what += ", alone"
			}
		case strings.EqualFold(text, "commit") && len(wrote) > 0:
			slices.Sort(wrote)
			what = "commit of " + strings.Join(slices.Compact(wrote), ", ")
		}
		switch verb, _, _ := strings.Cut(strings.ToLower(text), " "); verb {
		case "begin", "commit", "rollback":
			begun, wrote = verb == "begin", nil
		}
		if what != "" {
			switch k.effect(what) {
			case killBefore:
				k.kill()
				return
			case killAfter:
				mute.Store(true)
			}
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

// copyAnswers copies what a store answers to the server, until one of both connections ends. It
// kills the server instead at the first answer after mute is set.
func (k *killer) copyAnswers(client, server net.Conn, mute *atomic.Bool) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if mute.Load() { // the store has done it, and the server does not hear of it
			k.kill()
			return
		}
		if n > 0 {
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// writing is a statement that writes to a table of payments, orders or balances.
var writing = regexp.MustCompile(`(?is)^\s*(INSERT INTO|UPDATE|DELETE FROM) "?(orders|order_lines|payments|payment_attempts|refunds|refund_lines|balances|entries|change_logs?|operations|webhook_events)"?`)
