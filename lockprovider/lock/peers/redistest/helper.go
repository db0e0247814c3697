package redistest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/clients"
	"holdfast/config/setting"
	"holdfast/lockprovider/lock"
)

// A helper is the test binary once more, as a process of its own: one that can be killed and stopped. It does what it is
// told on its standard input, one JSON object a line, and answers on its standard output.

// helperVar holds the task of a helper, as JSON.
const helperVar = "HOLDFAST_LOCKER_HELPER"

// HelperTest is the test that a helper runs. It calls [Helper] and is skipped where that returns false.
const HelperTest = "TestLockerHelper"

type helperTask struct {
	Subject  string
	URL      string
	Instance string
	Settings lock.Settings

	RequestTimeout time.Duration
}

// order is what a helper is told.
type order struct {
	ID   int
	Do   string // lock, unlock, compete, churn
	Keys []string
	Of   int `json:",omitempty"` // the ID of the lock to unlock
	N    int `json:",omitempty"` // goroutines of compete, keys of churn
}

// word is what a helper says.
type word struct {
	ID    int
	Kind  string // ready, done, lost, event
	Err   string `json:",omitempty"`
	Leak  string `json:",omitempty"`
	Event *event `json:",omitempty"`
}

// Helper turns this process into a helper where it was started as one, and does not return then.
func Helper(subjects []Subject) bool {
	text := os.Getenv(helperVar)
	if text == "" {
		return false
	}
	if err := runHelper(text, subjects); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
	os.Exit(0)
	return true
}

type helper struct {
	locker lock.Locker
	mu     sync.Mutex // of the output, and of what follows
	leases map[int]lock.Lease
	name   string
	task   helperTask
}

func runHelper(text string, subjects []Subject) error {
	var task helperTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	at := slices.IndexFunc(subjects, func(s Subject) bool { return s.Name == task.Subject })
	if at < 0 {
		return fmt.Errorf("unknown locker %q", task.Subject)
	}
	r, err := clients.OpenRedis(context.Background(), clients.RedisOptions{URL: setting.URL(task.URL)})
	if err != nil {
		return err
	}
	h := &helper{leases: map[int]lock.Lease{}, name: task.Instance, task: task}
	var closeLocker func() error
	h.locker, closeLocker, err = subjects[at].Open(Config{
		Redis: r.Client, Settings: task.Settings, Instance: task.Instance, RequestTimeout: task.RequestTimeout,
	})
	if err != nil {
		return err
	}
	h.say(word{Kind: "ready"})
	var running sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		running.Go(func() { h.obey(o) })
	}
	_ = closeLocker() // its parent wants it to end; locks that it still holds expire
	return r.Close()
}

func (h *helper) say(w word) {
	line, err := json.Marshal(w)
	if err != nil {
		panic(err) // plain values
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// One write a line: what has been said stands, however the process ends.
	_, _ = os.Stdout.Write(append(append([]byte(prefix), line...), '\n'))
}

// prefix tells what a helper says from what the test framework prints.
const prefix = "@helper "

func (h *helper) obey(o order) {
	ctx := context.Background()
	done := word{ID: o.ID, Kind: "done"}
	switch o.Do {
	case "lock":
		held, lease, err := h.locker.Lock(ctx, o.Keys)
		if err != nil {
			done.Err = err.Error()
			break
		}
		h.mu.Lock()
		h.leases[o.ID] = lease
		h.mu.Unlock()
		go func() {
			<-held.Done()
			h.say(word{ID: o.ID, Kind: "lost", Err: fmt.Sprint(context.Cause(held))})
		}()
	case "unlock":
		h.mu.Lock()
		lease := h.leases[o.Of]
		h.mu.Unlock()
		if err := lease.Unlock(ctx); err != nil {
			done.Err = err.Error()
		}
	case "compete":
		c := competitor{
			name: h.name, locker: h.locker, lease: h.task.Settings.Lease, keys: o.Keys, brood: true,
			record: func(e event) { h.say(word{ID: o.ID, Kind: "event", Event: &e}) },
		}
		all(o.N, func(i int) { c.run(ctx, i) })
	case "churn":
		done.Leak, done.Err = h.churn(ctx, o.N)
	}
	h.say(done)
}

// churn locks and releases many keys and says what is left of that in this process.
func (h *helper) churn(ctx context.Context, n int) (leak, failure string) {
	use := func(key string) error {
		_, lease, err := h.locker.Lock(ctx, []string{key})
		if err != nil {
			return err
		}
		return lease.Unlock(ctx)
	}
	const workers = 16
	// What exists once and for all is there after a first round: connections, a subscription.
	all(workers, func(i int) { _ = use(fmt.Sprintf("first-%d", i)) })
	before := goleak.IgnoreCurrent()
	heap := settledHeap()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	all(workers, func(int) {
		for i := next.Add(1); i <= int64(n); i = next.Add(1) {
			if err := use(fmt.Sprintf("key-%d", i)); err != nil {
				failed.Store(&err)
			}
		}
	})
	if err := failed.Load(); err != nil {
		return "", (*err).Error()
	}
	if err := goleak.Find(before); err != nil {
		leak = err.Error()
	}
	// Half a kilobyte a key would be a table entry that nobody deletes; what the runtime keeps for itself is less.
	if grown := settledHeap() - heap; grown > int64(n)*512+1<<20 {
		leak += fmt.Sprintf("the heap has grown by %d bytes in %d keys", grown, n)
	}
	return leak, ""
}

func settledHeap() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// process is a running helper.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser

	mu      sync.Mutex
	orders  int
	answers map[int]chan word
	lost    map[int]chan struct{}
	ready   chan struct{}
	ended   chan struct{}
	onEvent func(event)
}

// spawn starts a helper that ends with the test.
func (h *Harness) spawn(t testing.TB, opts ...option) *process {
	t.Helper()
	return h.spawnRecorded(t, nil, opts...)
}

// spawnRecorded starts a helper whose events are recorded, in the order in which it says them.
func (h *Harness) spawnRecorded(t testing.TB, onEvent func(event), opts ...option) *process {
	t.Helper()
	o := h.options(opts)
	p := &process{
		name: fmt.Sprintf("p%d", h.instances.Add(1)), answers: map[int]chan word{}, lost: map[int]chan struct{}{},
		ready: make(chan struct{}), ended: make(chan struct{}), onEvent: onEvent,
	}
	task, err := json.Marshal(helperTask{Subject: h.Name, URL: h.redis.URL, Instance: p.name, Settings: o.settings, RequestTimeout: h.requestTimeout})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, "-test.run=^"+HelperTest+"$", "-test.count=1") //nolint:noctx // It ends with the test.
	p.cmd.Env = append(os.Environ(), helperVar+"="+string(task))
	p.cmd.Stderr = os.Stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.listen(stdout)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	await(t, p.ready, "a helper to be ready")
	return p
}

func (p *process) listen(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), prefix)
		var w word
		if !ok || json.Unmarshal([]byte(text), &w) != nil {
			continue // of the test framework, or cut off by a kill
		}
		p.mu.Lock()
		answer, lost := p.answers[w.ID], p.lost[w.ID]
		p.mu.Unlock()
		switch w.Kind {
		case "event":
			p.onEvent(*w.Event)
		case "ready":
			close(p.ready)
		case "lost":
			close(lost)
		case "done":
			answer <- w
		}
	}
}

// tell gives an order; its ID, and where the answer will be.
func (p *process) tell(t testing.TB, o order) (int, <-chan word) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders++
	o.ID = p.orders
	answer := make(chan word, 1)
	p.answers[o.ID], p.lost[o.ID] = answer, make(chan struct{})
	line, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	return o.ID, answer
}

func answered(t testing.TB, answer <-chan word, what string) word {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case w := <-answer:
		return w
	case <-timer.C:
		t.Fatalf("waited %v for a helper to %s", patience, what)
		return word{}
	}
}

// mustLock has the helper take the keys.
func (p *process) mustLock(t testing.TB, keys ...string) (id int) {
	t.Helper()
	id, answer := p.tell(t, order{Do: "lock", Keys: keys})
	w := answered(t, answer, "lock")
	if w.Err != "" {
		t.Fatalf("the helper's Lock: %s", w.Err)
	}
	return id
}

func (p *process) unlock(t testing.TB, id int) word {
	t.Helper()
	_, answer := p.tell(t, order{Do: "unlock", Of: id})
	return answered(t, answer, "unlock")
}

// kill ends the helper at once, as kill -9 does, and waits until it has gone. What it had said has been read then.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	<-p.ended
}

func long() bool { return os.Getenv("HOLDFAST_CAMPAIGN") == "long" }
