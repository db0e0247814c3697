// Package cli is the command line of holdfast: one file a command, and cli.go for what they share,
// the flags --config and --set and the command serve.
//
// [Main] is the body of the program's main. It is given the function that runs a server, so that
// package main can show that function at its top and this package need not know it. [Run] does the
// same for a test: with other arguments, another environment and other streams. A command returns
// its error; a message for the user goes through there and says what is wrong and what would be
// right.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"holdfast/config"
	"holdfast/lockprovider"
)

// Serve runs a server until ctx ends or the process is told to stop. It calls ready as soon as it
// answers requests.
type Serve func(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(Addresses)) error

// Addresses are where a server answers, host:port each.
type Addresses struct {
	Public string
	// Admin is that of admin.listen, "" if it is off.
	Admin string
}

// Main runs the command that the arguments of this process name, and ends the process with exit
// code 1 if the command fails.
func Main(serve Serve) {
	if err := Run(context.Background(), serve, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast:", err)
		os.Exit(1)
	}
}

// commands are the command line. Flags win over the environment, which wins over the file, which
// wins over defaults.
type commands struct {
	ConfigFile string   `name:"config" placeholder:"FILE" help:"YAML configuration file; config/example.yaml shows all keys." type:"path"`
	Set        []string `placeholder:"KEY=VALUE" help:"Set one key, such as locks.stock.provider=rowlock. Repeatable." sep:"none"`

	Serve      serveCommand      `cmd:"" default:"withargs" help:"Serve the API and the Playground (default)."`
	Experiment experimentCommand `cmd:"" help:"Run a workload under each strategy, audit that nothing was lost, and compare."`
	Import     importCommand     `cmd:"" help:"Import Shopify's product CSV; may be repeated."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database's tables up to date."`
	Token      tokenCommand      `cmd:"" help:"Print an access token for a user."`
	Webhook    webhookCommand    `cmd:"" help:"Messages of payment gateways."`
	Config     configCommand     `cmd:"" name:"config" help:"Print the effective configuration, secrets redacted."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// environment is what a command works in.
type environment struct {
	serve  Serve
	ctx    context.Context //nolint:containedctx // lives as long as the one command that runs
	env    []string
	stdout io.Writer
	stderr io.Writer
	cli    *commands
}

func (e *environment) load(s config.Sources) (config.Config, error) {
	s.File, s.Set, s.Environ = e.cli.ConfigFile, e.cli.Set, e.env
	return config.Load(s)
}

// print fails if the output goes to a full disk or a closed pipe: otherwise a script would go on
// without its token.
func (e *environment) print(words ...any) error {
	_, err := fmt.Fprintln(e.stdout, words...)
	return err
}

// Run runs the command that the arguments name, without the name of the program. The environment is
// in the form of os.Environ. It returns why the command failed, which nothing has printed yet.
func Run(ctx context.Context, serve Serve, args, env []string, stdout, stderr io.Writer) error {
	var cli commands
	exit := -1
	parser, err := kong.New(&cli, kong.Name("holdfast"),
		kong.Description("A GraphQL commerce backend for people who must not oversell."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }), kong.UsageOnError())
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exit == 0 { // --help has been answered
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (try --help)", err)
	}
	return parsed.Run(&environment{serve: serve, ctx: ctx, env: env, stdout: stdout, stderr: stderr, cli: &cli})
}

type serveCommand struct {
	Listen    string `placeholder:"HOST:PORT" help:"Address to listen on (127.0.0.1:8080)."`
	Takeover  bool   `help:"Replace the strategies of live instances, which then stop, instead of refusing to start."`
	AllowNone bool   `help:"Allow the strategy none, which loses updates. For experiments only."`
}

// Run serves until the process is told to stop.
func (c *serveCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{Listen: c.Listen, Takeover: c.Takeover, AllowNone: c.AllowNone})
	if err != nil {
		return err
	}
	log := logger(cfg, e.stderr)
	return e.serve(e.ctx, cfg, log, func(at Addresses) {
		served := []any{"graphql", "http://" + at.Public + "/graphql"}
		if at.Admin != "" {
			served = append(served, "admin", "http://"+at.Admin)
		}
		if cfg.HTTP.Playground {
			served = append(served, "playground", "http://"+at.Public+"/")
		}
		served = append(served, "database", cfg.Database.URL, "redis", cfg.Redis.URL)
		for _, family := range lockprovider.Families {
			served = append(served, strings.ToLower(string(family)), cfg.Locks[family].Strategy)
		}
		log.InfoContext(e.ctx, "holdfast is ready", served...)
	})
}

func logger(cfg config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Log.Level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
