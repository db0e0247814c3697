package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"holdfast/auth"
	"holdfast/clients"
	"holdfast/config"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast:", err)
		os.Exit(1)
	}
}

// commands are the command line. Flags win over the environment, which wins over the file, which wins over defaults.
type commands struct {
	ConfigFile string   `name:"config" placeholder:"FILE" help:"YAML configuration file; config/example.yaml shows all keys." type:"path"`
	Set        []string `placeholder:"KEY=VALUE" help:"Set one key, such as locks.stock.provider=rowlock. Repeatable." sep:"none"`

	Serve      serveCommand      `cmd:"" default:"withargs" help:"Serve the API and the Playground (default)."`
	Experiment experimentCommand `cmd:"" help:"Run a workload under each strategy, audit that nothing was lost, and compare."`
	Import     importCommand     `cmd:"" help:"Import Shopify's product CSV; may be repeated."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database's tables up to date."`
	Token      tokenCommand      `cmd:"" help:"Print an access token for a user."`
	Config     configCommand     `cmd:"" name:"config" help:"Print the effective configuration, secrets redacted."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// environment is what commands work in.
type environment struct {
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

// print fails where the output goes to a full disk or a closed pipe: a script would go on without its token.
func (e *environment) print(words ...any) error {
	_, err := fmt.Fprintln(e.stdout, words...)
	return err
}

func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) error {
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
	return parsed.Run(&environment{ctx: ctx, env: env, stdout: stdout, stderr: stderr, cli: &cli})
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
	return serve(e.ctx, cfg, log, func(address string) {
		log.InfoContext(e.ctx, "holdfast is ready", "graphql", "http://"+address+"/graphql", "playground", "http://"+address+"/",
			"database", clients.RedactURL(cfg.Database.URL), "redis", clients.RedactURL(cfg.Redis.URL),
			"stock", cfg.Locks.Stock.Provider, "coupons", cfg.Locks.Coupons.Provider,
			"points", cfg.Locks.Points.Provider, "accounts", cfg.Locks.Accounts.Provider)
	})
}

type migrateCommand struct{}

// Run applies what is pending.
func (*migrateCommand) Run(e *environment) (err error) {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	db, err := clients.OpenDatabase(e.ctx, cfg.Database.URL, clients.DatabaseOptions{MaxOpen: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	applied, err := db.Migrate(e.ctx)
	for _, version := range applied {
		err = errors.Join(err, e.print("applied", version))
	}
	if err == nil && len(applied) == 0 {
		err = e.print("nothing to apply")
	}
	return err
}

type tokenCommand struct {
	User  string        `required:"" help:"The user, subject of the token."`
	Admin bool          `help:"Give the role ADMIN as well."`
	TTL   time.Duration `name:"ttl" help:"How long the token is valid (auth.tokenTTL)."`
}

// Run prints a token.
func (c *tokenCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	if cfg.Auth.JWKS != "" {
		return errors.New("tokens are issued by whoever publishes auth.jwks, not here")
	}
	roles := []auth.Role{auth.Customer}
	if c.Admin {
		roles = append(roles, auth.Admin)
	}
	if c.TTL == 0 {
		c.TTL = cfg.Auth.TokenTTL
	}
	token, err := auth.Issue(secret(cfg), cfg.Auth.Issuer, c.User, roles, c.TTL)
	if err != nil {
		return err
	}
	return e.print(token)
}

type configCommand struct{}

// Run prints the effective configuration.
func (*configCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	return e.print(strings.TrimSuffix(cfg.YAML(), "\n"))
}

type versionCommand struct{}

// Run prints what was built.
func (*versionCommand) Run(e *environment) error {
	return e.print("holdfast", version())
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision += " " + s.Value
		}
	}
	return revision + " " + info.GoVersion
}

func logger(cfg config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Log.Level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
