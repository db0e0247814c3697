package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"
)

// workerVar makes this program a process that puts its part of a load on a lock, or holds one until it is killed.
const workerVar = "LOCKBENCH_WORKER"

type workerTask struct {
	Contender string
	URL       string
	Instance  string
	Load      load
	Duration  time.Duration
	// Lock is a key to lock instead, for good.
	Lock  string
	Lease time.Duration
	// Spin is for how long to keep a core busy instead, if nobody else wants it.
	Spin time.Duration
}

func work(text string) error {
	var task workerTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	if task.Spin > 0 {
		return spin(task.Spin)
	}
	if task.Lock != "" {
		return hold(task)
	}
	// Its parent kills it if it takes longer; if the parent has been killed itself, it ends by itself.
	ctx, cancel := context.WithTimeout(context.Background(), task.Load.bound(task.Duration))
	defer cancel()
	c, err := open(task.Contender, task.URL, task.Instance)
	if err != nil {
		return err
	}
	defer c.close()
	if err := task.Load.warmUp(ctx, c); err != nil {
		return fmt.Errorf("first locks: %w", err)
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the word to go: %w", err)
	}
	s, err := task.Load.run(ctx, c, task.Duration)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// worker is a process of this program.
type worker struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func startWorker(ctx context.Context, task workerTask) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: exec.CommandContext(ctx, self)}
	w.cmd.Env = append(os.Environ(), workerVar+"="+string(text))
	w.cmd.Stderr = os.Stderr
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.stdout = bufio.NewReader(stdout)
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := w.stdout.ReadString('\n'); err != nil {
		w.end()
		return nil, fmt.Errorf("waited for a worker to be ready: %w", orCause(ctx, err))
	}
	return w, nil
}

// orCause is the reason for which ctx has ended, and with it the processes of a load, or an error that came before that.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// keepAwake keeps each core busy, for a bounded time, with a process that gives way to everybody.
func keepAwake(ctx context.Context, bound time.Duration) (stop func(), err error) {
	var workers []*worker
	stop = func() {
		for _, w := range workers {
			w.end()
		}
	}
	for range runtime.NumCPU() {
		w, err := startWorker(ctx, workerTask{Spin: bound})
		if err != nil {
			stop()
			return nil, err
		}
		workers = append(workers, w)
	}
	return stop, nil
}

// spin is what such a process does. It ends with its parent.
func spin(bound time.Duration) error {
	runtime.LockOSThread() // on Linux a priority is a thread's
	if err := giveWay(); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	var over atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		over.Store(true)
	}()
	fmt.Println("ready")
	for began := time.Now(); !over.Load() && time.Since(began) < bound; {
	}
	return nil
}

// end kills the worker where it has not ended by itself.
func (w *worker) end() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait() // "signal: killed", or what has been read from its output
}

// kill ends the process as a crash does, and waits until it has ended.
func (w *worker) kill() error {
	err := w.cmd.Process.Kill()
	_ = w.cmd.Wait() // "signal: killed"
	return err
}

// runProcesses puts a load on a lock from several processes at once.
func (b *bench) runProcesses(ctx context.Context, name, url string, l load) ([]sample, error) {
	var samples []sample
	workers := make([]*worker, 0, l.Processes)
	defer func() {
		for _, w := range workers {
			w.end()
		}
	}()
	for n := range l.Processes {
		w, err := startWorker(ctx, workerTask{
			Contender: name, URL: url, Instance: fmt.Sprintf("bench-%d", n), Load: l, Duration: b.duration,
		})
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	if err := b.startClock(ctx); err != nil {
		return nil, err
	}
	for _, w := range workers {
		if _, err := io.WriteString(w.stdin, "go\n"); err != nil {
			return nil, fmt.Errorf("tell a worker to go: %w", orCause(ctx, err))
		}
	}
	for _, w := range workers {
		var s sample
		if err := json.NewDecoder(w.stdout).Decode(&s); err != nil {
			return nil, fmt.Errorf("waited for what a worker has measured: %w", orCause(ctx, err))
		}
		samples = append(samples, s)
	}
	return samples, nil
}
