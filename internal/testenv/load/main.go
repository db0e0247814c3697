// Command load keeps all processors busy, as other work on the machine would:
//
//	go run ./internal/testenv/load [-for 1h] [-times 1] [command argument...]
//
// Without a command it does so for the given time. With one, it runs the command so many times beside the load, until one run
// fails, and ends with it. It ends by itself when the time is over, whatever the command does, and kills it then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	bound := flag.Duration("for", time.Hour, "the time after which it ends in any case")
	times := flag.Int("times", 1, "how many times to run the command")
	flag.Parse()
	if *bound <= 0 || *times < 1 {
		flag.Usage()
		return errors.New("the time and the number of runs must be positive")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *bound, fmt.Errorf("the time of %s is over", *bound))
	defer cancel()
	for range runtime.NumCPU() {
		go burn(ctx)
	}
	if flag.NArg() == 0 {
		<-ctx.Done()
		return nil
	}
	for n := range *times {
		began := time.Now()
		if err := beside(ctx, flag.Args()); err != nil {
			return fmt.Errorf("run %d of %d: %w", n+1, *times, errors.Join(err, context.Cause(ctx)))
		}
		fmt.Fprintf(os.Stderr, "load: run %d of %d passed in %s\n", n+1, *times, time.Since(began).Round(time.Second))
	}
	return nil
}

// burn computes until ctx ends.
func burn(ctx context.Context) {
	for x := 1; ctx.Err() == nil; {
		for range 1 << 20 {
			x = x*1664525 + 1013904223
		}
		runtime.KeepAlive(x)
	}
}

// killAfter is how long the command may take to end when it has been told to.
const killAfter = 30 * time.Second

func beside(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd.Run()
}
