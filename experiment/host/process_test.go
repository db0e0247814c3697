//go:build unix

package host

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStartSaysWhyAServerEnded(t *testing.T) {
	_, err := Start(t.Context(), "/bin/sh", os.Environ(), []string{"-c", "echo the port is taken; exit 3"})
	if err == nil || !strings.Contains(err.Error(), "the port is taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

func TestServersAreStoppedInOrder(t *testing.T) {
	// It ends at SIGTERM only after it has done something, as a server with requests in flight.
	script := `trap 'echo finishing; exit 0' TERM
echo 'msg="holdfast is ready" graphql=http://127.0.0.1:4711/graphql playground=x'
while :; do sleep 0.01; done`
	p, err := Start(t.Context(), "/bin/sh", os.Environ(), []string{"-c", script})
	must(t, err)
	if p.URL != "http://127.0.0.1:4711" || p.Admin != "" {
		t.Errorf("addresses %s and %s", p.URL, p.Admin)
	}
	must(t, p.Stop())
	if !strings.Contains(p.log.tail(), "finishing") {
		t.Errorf("was not asked to end, but killed:\n%s", p.log.tail())
	}
	must(t, p.Stop()) // again is no error
}

func TestAFailedServerIsReported(t *testing.T) {
	script := `trap 'echo could not commit; exit 1' TERM
echo 'msg="holdfast is ready" graphql=http://127.0.0.1:4711/graphql playground=x'
while :; do sleep 0.01; done`
	p, err := Start(t.Context(), "/bin/sh", os.Environ(), []string{"-c", script})
	must(t, err)
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "could not commit") {
		t.Errorf("%v", err)
	}
}

func TestServerLogArrivesInPieces(t *testing.T) {
	l := serverLog{ready: make(chan addresses, 1)}
	for _, piece := range []string{"level=INFO msg=\"holdfast is ready\" graphql=http://127.0.", "0.1:80", "80/graphql admin=http://127.0.0.1:80", "81 playground=http://x/\n", "more\n"} {
		_, err := l.Write([]byte(piece))
		must(t, err)
	}
	select {
	case at := <-l.ready:
		if want := (addresses{"http://127.0.0.1:8080", "http://127.0.0.1:8081"}); at != want {
			t.Errorf("addresses %v, want %v", at, want)
		}
	case <-time.After(time.Second):
		t.Fatal("not found")
	}
	_, err := l.Write([]byte(strings.Repeat("x", 5*logSize)))
	must(t, err)
	if n := len(l.tail()); n > logSize {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestServerEnvironmentIsTheExperiments(t *testing.T) {
	got := ServerEnv([]string{"PATH=/bin", "HOLDFAST_LOCKS_STOCK_PROVIDER=none", "DATABASE_URL=postgres://production", "REDIS_URL=x", "BROKER=kafka://y", "HOME=/"})
	if !slices.Equal(got, []string{"PATH=/bin", "HOME=/"}) {
		t.Errorf("%v", got)
	}
}
