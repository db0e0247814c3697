// Command budget prints what one order costs: milliseconds of CPU time of the server, of the database and of Redis, and
// orders per second, beside bare programs that do the least that an order needs.
//
//	go run ./experiment/budget --rounds 5 --json budget.json
//	go run ./experiment/budget --strategies lua --references statement --build before=/tmp/before --build after=/tmp/after
//
// It starts PostgreSQL and Redis from PATH, on 127.0.0.1, and stops what it has started. All cases get the same requests of the
// same customers, over HTTP. Rounds are interleaved, and figures are medians. CPU time is that of whole processes, from the first
// request until the last event of an order is published and handled: what comes after the answer is in it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"holdfast/lockprovider"
)

// options are the flags.
type options struct {
	Strategies []string          `default:"rowlock,atomicsql,groupcommit,lua,lua-accepted" help:"Strategies of stock, or none; NAME-accepted answers as soon as Redis has the order."`
	References []string          `default:"transaction,statement,script,nothing" help:"Bare programs to measure beside them, or none."`
	Products   []int             `default:"1,1000" help:"How many products the orders are of: 1 is a hot one."`
	Clients    int               `default:"256" help:"Customers who order at the same time."`
	Rounds     int               `default:"5" help:"How often all cases are repeated, interleaved."`
	Duration   time.Duration     `default:"5s" help:"Measured time of a run."`
	WarmUp     time.Duration     `default:"2s" help:"Orders before the measurement."`
	Orders     int               `help:"Orders of a run, if it is to end earlier."`
	Build      map[string]string `placeholder:"NAME=PATH" help:"A holdfast program to measure, by a name; repeatable, to compare two. One is built of this module if none is given."`
	Set        []string          `placeholder:"KEY=VALUE" help:"A setting of the servers; repeatable."`
	Statements bool              `help:"Print the dearest statements of PostgreSQL, too. Counting them costs some CPU time."`
	JSON       string            `name:"json" placeholder:"FILE" help:"Write all figures as JSON."`
}

type commands struct {
	Run       options   `cmd:"" default:"withargs" hidden:""`
	Reference reference `cmd:"" hidden:"" help:"Serve as a bare program."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parsed := kong.Parse(&c, kong.Name("budget"), kong.Description("What one order costs, in CPU time."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	parsed.FatalIfErrorf(parsed.Run())
}

// none is the word for an empty list.
const none = "none"

// accepted ends the name of a strategy that answers as soon as Redis has the order.
const accepted = "-accepted"

// Validate implements an interface of kong.
func (o *options) Validate() error {
	var errs []error
	check := func(ok bool, text string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(text, args...))
		}
	}
	for _, name := range o.strategies() {
		_, known := lockprovider.Lookup(lockprovider.Strategy(strings.TrimSuffix(name, accepted)))
		check(known, "--strategies: no strategy %q", name)
	}
	for _, name := range o.references() {
		check(stores[name] != nil, "--references: no reference %q: want transaction, statement, script or nothing", name)
	}
	for _, n := range o.Products {
		check(n >= 1 && n <= mostProducts, "--products: %d: want 1 to %d", n, mostProducts)
	}
	check(o.Clients >= 1 && o.Clients <= 10_000, "--clients: %d: want 1 to 10000", o.Clients)
	check(o.Rounds >= 1 && o.Rounds <= 100, "--rounds: %d: want 1 to 100", o.Rounds)
	check(o.Duration >= time.Second && o.Duration <= time.Hour, "--duration: %s: want 1s to 1h", o.Duration)
	check(o.WarmUp >= 0 && o.WarmUp <= time.Hour, "--warm-up: %s: want 0s to 1h", o.WarmUp)
	check(o.Orders >= 0, "--orders: %d: want 0 (no bound) or more", o.Orders)
	for name, path := range o.Build {
		full, err := filepath.Abs(path) // a name without a directory would be looked for in PATH
		if err == nil {
			_, err = os.Stat(full)
		}
		check(err == nil, "--build: %s: %w", name, err)
		o.Build[name] = full
	}
	for _, s := range o.Set {
		key, _, _ := strings.Cut(s, "=")
		check(strings.TrimSpace(key) != "broker.url", "--set: %s: another broker than that of the process does not tell when the last event "+
			"of an order is handled", key)
	}
	check(len(o.strategies())+len(o.references()) > 0, "nothing to measure: name --strategies or --references")
	return errors.Join(errs...)
}

func (o *options) strategies() []string { return named(o.Strategies) }
func (o *options) references() []string { return named(o.References) }

func named(list []string) []string {
	if len(list) == 1 && list[0] == none {
		return nil
	}
	return list
}

// Run measures and prints: if a run fails, what was measured before.
func (o *options) Run(ctx context.Context) error {
	if o.JSON != "" { // a measurement takes long, so the file is tried first; what it contains stays until there is a report
		file, err := os.OpenFile(o.JSON, os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if len(o.Build) == 0 && len(o.strategies()) > 0 {
		program, remove, err := build(ctx)
		if err != nil {
			return err
		}
		defer remove()
		o.Build = map[string]string{"": program}
	}
	report, err := measure(ctx, *o)
	if len(report.Cases) == 0 {
		return err
	}
	err = errors.Join(err, report.writeTable(os.Stdout))
	if o.JSON != "" {
		err = errors.Join(err, report.writeJSON(o.JSON))
	}
	return err
}

// build builds the shop of the module in whose directory the command runs.
func build(ctx context.Context) (program string, remove func(), err error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", nil, fmt.Errorf("find the module to build the shop of: %w", err)
	}
	dir, err := os.MkdirTemp("", "holdfast-budget-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // of a temporary directory
	program = filepath.Join(dir, "holdfast")
	command := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	command.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if output, err := command.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build the shop: %w\n%s", err, output)
	}
	return program, remove, nil
}
