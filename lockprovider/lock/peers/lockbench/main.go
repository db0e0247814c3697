// Command lockbench measures the locks of this repository beside other locks for Go, in one run, side by side:
//
//	go -C lockprovider/lock/peers run ./lockbench [--redis URL] [--duration 1s] [--rounds 3] [--json FILE] [--check]
//
// Without a URL it starts a redis-server of its own from PATH. Absolute figures depend on the machine, and on what else it
// does: the rounds of all contenders are interleaved and their medians compared, so look at the ratios.
//
// A request is one command or script sent to Redis, whatever the script does. Locks in PostgreSQL, MariaDB and etcd have their store
// on this machine, too: the databases are started if they are installed, and etcd runs in the process of the benchmark.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	if task := os.Getenv(workerVar); task != "" {
		if err := work(task); err != nil {
			fmt.Fprintln(os.Stderr, "lockbench worker:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lockbench:", err)
		os.Exit(1)
	}
}

// errCheck: the figures were measured, and are not what they must be.
var errCheck = errors.New("not all figures are reached")

func run() error {
	url := flag.String("redis", "", "`URL` of a Redis that may be emptied; without one, redis-server is started")
	duration := flag.Duration("duration", time.Second, "of each measurement; the one of fair turns takes three times as long")
	rounds := flag.Int("rounds", 3, "measurements of each contender and load, of which the median counts")
	jsonFile := flag.String("json", "", "`file` to write the medians to")
	check := flag.Bool("check", false, "check the figures that our lock must reach, and fail where it does not")
	only := flag.String("only", "", "beginnings of the names of the contenders to measure, separated by commas; all without")
	loads := flag.String("loads", "", "loads to measure, of "+loadIDs()+"; all without")
	flag.Parse()
	if *rounds < 1 || *duration <= 0 || flag.NArg() > 0 {
		flag.Usage()
		return errors.New("rounds and duration must be positive, and there are no arguments")
	}
	redis.SetLogger(silent{}) // workers are ended while they wait

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *url == "" {
		own, stopServer, err := startRedis(ctx)
		if err != nil {
			return err
		}
		defer stopServer()
		*url = own
	}
	b, err := newBench(ctx, *url, *duration)
	if err != nil {
		return err
	}
	defer b.close()
	others, stopOthers, err := startStores(ctx, pick(*only))
	if err != nil {
		return err
	}
	defer stopOthers()
	b.others = others
	results, err := b.measureAll(ctx, *rounds, pick(*only), pick(*loads))
	if err != nil {
		return err
	}
	if err := printTables(os.Stdout, results); err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := writeJSON(*jsonFile, results); err != nil {
			return err
		}
	}
	if *check {
		verdicts, err := b.check(ctx, results)
		if err != nil {
			return err
		}
		return printVerdicts(os.Stdout, verdicts)
	}
	return nil
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// pick tells whether a name begins as one of the list does; all do where there is none.
func pick(list string) func(string) bool {
	return func(name string) bool {
		for beginning := range strings.SplitSeq(list, ",") {
			if strings.HasPrefix(name, strings.TrimSpace(beginning)) {
				return true
			}
		}
		return false
	}
}

func writeJSON(path string, results []result) error {
	body, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o600)
}
