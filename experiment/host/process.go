package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Process is one server of a run.
type Process struct {
	executable string
	env, args  []string

	cmd    *exec.Cmd
	stdin  io.Closer // held open: a server may take its end for the end of whoever started it
	log    serverLog
	exited chan struct{} // closed when it has ended
	URL    string        // http://host:port
	Admin  string        // http://host:port of its metrics, "" if it serves none
}

const (
	// readyTimeout bounds the start of a server, migrations included.
	readyTimeout = 60 * time.Second
	// stopTimeout bounds how long a server takes to stop before it is killed: longer than its own shutdown.
	stopTimeout = 30 * time.Second
	// logSize is how much of the end of a server's log is kept for messages, in bytes.
	logSize = 16 << 10
)

// readyLine is what a server logs when it answers.
var readyLine = regexp.MustCompile(`holdfast is ready.*graphql=(http://[^/ ]+)/graphql(?: admin=(http://[^/\s]+))?`)

// addresses are where a server answers.
type addresses struct{ public, admin string }

// serverLog keeps the end of a log, and the address in it.
type serverLog struct {
	mu    sync.Mutex
	text  []byte
	ready chan addresses // gets them once
	found bool
}

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if m := readyLine.FindSubmatch(l.text); m != nil && !l.found && bytes.HasSuffix(l.text, []byte("\n")) {
		l.found = true
		l.ready <- addresses{string(m[1]), string(m[2])}
	}
	if len(l.text) > 2*logSize {
		l.text = append([]byte(nil), l.text[len(l.text)-logSize:]...)
	}
	return len(b), nil
}

func (l *serverLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-logSize):])
}

// Start runs a server and waits until it answers, for at most one minute. The error holds the end of the server's log.
func Start(ctx context.Context, executable string, env, args []string) (*Process, error) {
	p := &Process{exited: make(chan struct{}), executable: executable, env: env, args: args}
	p.log.ready = make(chan addresses, 1)
	p.cmd = exec.Command(executable, args...) //nolint:noctx // stop ends it in order
	p.cmd.Env, p.cmd.Dir = env, os.TempDir()  // no configuration lies there
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	confine(p.cmd)
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := spawn(p.cmd); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in its state
	}()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case at := <-p.log.ready:
		p.URL, p.Admin = at.public, at.admin
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("a server ended (%s) before it was ready:\n%s", p.cmd.ProcessState, p.log.tail())
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("a server is not ready: %w\n%s", ctx.Err(), p.log.tail()), p.Stop())
	}
}

// StartServers starts n servers that share their stores. The first one migrates the database; the others start together
// afterwards. If one fails, it also returns those that have started, and nil for the others.
func StartServers(ctx context.Context, executable string, env, args []string, n int) ([]*Process, error) {
	processes := make([]*Process, n)
	var err error
	if processes[0], err = Start(ctx, executable, env, args); err != nil {
		return processes, err
	}
	group, starting := errgroup.WithContext(ctx)
	for i := 1; i < n; i++ {
		group.Go(func() (err error) {
			processes[i], err = Start(starting, executable, env, args)
			return err
		})
	}
	return processes, group.Wait()
}

// Stop asks the server to end, as an operator does, and kills it if it has not ended after 30 seconds. It returns an error
// if the server had to be killed or ended with an exit code other than 0. Stop may be called again.
func (p *Process) Stop() error {
	polite, err := terminate(p.cmd.Process)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = p.cmd.Process.Kill() // it may have ended meanwhile
		<-p.exited
		return fmt.Errorf("a server did not stop within %s:\n%s", stopTimeout, p.log.tail())
	}
	_ = p.stdin.Close() // Wait may have closed it
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && polite {
		return fmt.Errorf("a server ended with %s:\n%s", p.cmd.ProcessState, p.log.tail())
	}
	return nil
}

// Again kills the server, as a crash does, and starts it again at the same addresses. It returns the new process.
func (p *Process) Again() (*Process, error) {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, err
	}
	<-p.exited
	_ = p.stdin.Close() // Wait may have closed it
	args := slices.Clone(p.args)
	if at := slices.Index(args, "--listen"); at >= 0 && at+1 < len(args) {
		args[at+1] = strings.TrimPrefix(p.URL, "http://")
	}
	if p.Admin != "" {
		args = append(args, "--set", "admin.listen="+strings.TrimPrefix(p.Admin, "http://"))
	}
	return Start(context.Background(), p.executable, p.env, args)
}

// Pause has the server stand still: its connections stay open, and it does not answer.
func (p *Process) Pause() error { return pause(p.cmd.Process) }

// Resume has the server go on.
func (p *Process) Resume() error { return resume(p.cmd.Process) }

// spawns are started from one thread that lives as long as this process: Linux signals a child when the thread that
// started it ends, and Go ends threads as it pleases.
var spawns = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func spawn(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	spawns() <- func() { done <- cmd.Start() }
	return <-done
}

// ServerEnv returns the environment without the variables that configure a server: the experiment sets those.
func ServerEnv(environ []string) []string {
	var env []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "HOLDFAST_") || name == "DATABASE_URL" || name == "REDIS_URL" || name == "BROKER" {
			continue
		}
		env = append(env, entry)
	}
	return env
}
