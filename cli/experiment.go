package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/config"
	"holdfast/experiment"
	"holdfast/experiment/host"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/experiment/report"
)

// experimentCommand runs the same workload under each strategy, audits and compares. Flags replace
// what the plan says.
type experimentCommand struct {
	Plan string `arg:"" optional:"" help:"A shipped plan or a YAML file; --plans lists those that are shipped."`

	Plans      bool            `help:"List the shipped plans and the workloads, and do nothing else."`
	Workloads  []string        `aliases:"workload" placeholder:"NAME" help:"What customers do (--plans lists them)."`
	Strategies []string        `aliases:"strategy" placeholder:"NAME" help:"Strategies, or all."`
	Databases  []string        `aliases:"database" placeholder:"NAME" help:"sqlite, postgres, mariadb. Servers are started from PATH unless --database-url names one."`
	Redis      string          `placeholder:"KIND" help:"embedded or real. A server is started from PATH unless --redis-url names one."`
	Clients    []int           `placeholder:"N" help:"Customers who ask at the same time."`
	Rates      []float64       `name:"rate" aliases:"rates" placeholder:"N" help:"Operations a second of an open loop; 0 is a closed loop."`
	Instances  []int           `placeholder:"N" help:"Server processes that share the stores."`
	Duration   *plans.Duration `placeholder:"TIME" help:"Measured time of a run."`
	Operations *int            `placeholder:"N" help:"Operations of a run, where it is to end earlier."`
	WarmUp     *plans.Duration `placeholder:"TIME" help:"Load on other objects before the measurement."`
	Rounds     *int            `placeholder:"N" help:"How often all runs are repeated, interleaved."`
	Seed       *uint64         `placeholder:"N" help:"The same seed asks for the same things."`
	Skew       *float64        `placeholder:"S" help:"Exponent of the Zipf distribution by which objects are picked."`
	Objects    *int            `placeholder:"N" help:"How many products or accounts."`
	Units      *int64          `placeholder:"N" help:"What each begins with."`
	Users      *int            `placeholder:"N" help:"How many customers share the clients."`
	History    bool            `help:"Record every request and answer, read in between, and check the order of it all: see docs/proof.md."`
	Faults     []string        `placeholder:"NAME" help:"What happens to servers and stores meanwhile: kill, pause, redis-restart, redis-pause, database-restart, database-pause."`
	URL        []string        `name:"url" placeholder:"URL" help:"A server that runs already, instead of starting some. Repeatable for instances."`
	AdminURL   []string        `name:"admin-url" placeholder:"URL" help:"With --url: the admin.listen of such a server, for its metrics. Repeatable for instances."`
	Database   string          `name:"database-url" placeholder:"URL" help:"A server in which each run may create a database; with --url, the database of those servers, for the audit."`
	RedisURL   string          `name:"redis-url" placeholder:"URL" help:"An empty Redis; with --url, that of those servers, for the audit."`
	JSON       string          `name:"json" placeholder:"FILE" help:"Write the report as JSON."`
	CSV        string          `name:"csv" placeholder:"FILE" help:"Write a line a run as CSV."`
	HTML       string          `name:"html" placeholder:"FILE" help:"Write a page with plots."`
	Markdown   string          `placeholder:"FILE" help:"Write a page for the documentation."`
	Baseline   string          `placeholder:"FILE" help:"Compare with an earlier report (JSON)."`
	Wide       bool            `help:"Show all figures and each line as it is, in however many columns. Otherwise the report fits 120 columns."`
	Quiet      bool            `short:"q" help:"Show no progress."`
}

// Run runs the experiment. It fails if a strategy other than none has lost or invented anything.
func (c *experimentCommand) Run(e *environment) (err error) {
	if c.Plans {
		return c.list(e)
	}
	plan, err := c.plan()
	if err != nil {
		return err
	}
	runner, err := c.runner(e, &plan)
	if err != nil {
		return err
	}
	if err := c.writable(); err != nil {
		return err
	}
	var baseline *report.Report
	if c.Baseline != "" { // before the work, not after it
		earlier, err := report.Read(c.Baseline)
		if err != nil {
			return fmt.Errorf("--baseline: %w", err)
		}
		baseline = &earlier
	}
	ctx, stop := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	measured, err := runner.Run(ctx, plan)
	if len(measured.Runs) == 0 {
		return err
	}
	measured.Command = typed(os.Args[1:])
	if baseline != nil {
		measured.CompareWith(*baseline)
	}
	err = errors.Join(err, measured.WriteTable(e.stdout, c.Wide), c.write(measured))
	if violated := measured.Violated(); len(violated) > 0 {
		err = errors.Join(err, fmt.Errorf("the audit found that %v lost or invented something: see above", violated))
	}
	return err
}

// list prints what there is to choose from.
func (c *experimentCommand) list(e *environment) error {
	var b strings.Builder
	b.WriteString("Plans:\n")
	for _, name := range plans.Shipped() {
		plan, err := plans.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  %-14s %s\n", name, plan.Name)
	}
	b.WriteString("Workloads:\n")
	for _, w := range load.Workloads() {
		fmt.Fprintf(&b, "  %-14s %s\n", w.Name, w.About)
	}
	return e.print(strings.TrimSuffix(b.String(), "\n"))
}

// plan is the plan of the file, or the default one, with the flags on top of it.
func (c *experimentCommand) plan() (plans.Plan, error) {
	p := plans.Default()
	if c.Plan != "" {
		var err error
		if p, err = plans.Load(c.Plan); err != nil {
			return p, err
		}
	}
	if slices.Equal(c.Strategies, []string{"all"}) {
		c.Strategies = nil
		p.Strategies = plans.Default().Strategies
	}
	givenNames(&p.Strategies, c.Strategies)
	givenNames(&p.Faults, c.Faults)
	given(&p.Workloads, c.Workloads)
	given(&p.Databases, c.Databases)
	given(&p.Clients, c.Clients)
	given(&p.Rates, c.Rates)
	given(&p.Instances, c.Instances)
	if c.Redis != "" {
		p.Redis = c.Redis
	}
	replace(&p.Duration, c.Duration)
	replace(&p.Operations, c.Operations)
	replace(&p.WarmUp, c.WarmUp)
	replace(&p.Rounds, c.Rounds)
	p.History = p.History || c.History
	replace(&p.Seed, c.Seed)
	replace(&p.Skew, c.Skew)
	replace(&p.Objects, c.Objects)
	replace(&p.Units, c.Units)
	replace(&p.Users, c.Users)
	return p, nil
}

func given[T any](into *[]T, flag []T) {
	if len(flag) > 0 {
		*into = flag
	}
}

// givenNames is given of names that have a type in the plan.
func givenNames[Name ~string](into *[]Name, flag []string) {
	names := make([]Name, len(flag))
	for i, name := range flag {
		names[i] = Name(name)
	}
	given(into, names)
}

func replace[T any](into, flag *T) {
	if flag != nil {
		*into = *flag
	}
}

// runner is configured as servers are. --config and --set reach the servers that it starts; with
// --url they say how to talk to those that run.
func (c *experimentCommand) runner(e *environment, plan *plans.Plan) (*experiment.Runner, error) {
	r := &experiment.Runner{
		Environ: e.env, URLs: c.URL, AdminURLs: c.AdminURL,
	}
	if !c.Quiet {
		r.Progress = newProgressDisplay(e.stderr).show
	}
	if e.cli.ConfigFile != "" {
		r.Args = []string{"--config", e.cli.ConfigFile}
	}
	plan.Settings = append(plan.Settings, e.cli.Set...)
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return nil, err
	}
	r.Issuer, r.Audience, r.Currency, r.Secret = cfg.Auth.Issuer, cfg.Auth.Audience, cfg.Shop.Currency, []byte(cfg.Auth.Secret)
	if len(c.URL) > 0 {
		if plan.History && c.Database == "" {
			return nil, errors.New("--history with --url: the order is checked against the journal: name the database of those servers with --database-url")
		}
		r.Secret, r.RunningDatabase, r.RunningRedis = app.TokenSecret(cfg), c.Database, c.RedisURL
		return r, nil
	}
	switch {
	case c.Database == "":
	case len(plan.Databases) != 1 || plan.Databases[0] == host.SQLite:
		return nil, fmt.Errorf("--database-url: the databases are %v: say which one it is, with --database postgres or mariadb", plan.Databases)
	case plan.Databases[0] == host.Postgres:
		r.Stores.PostgresURL = c.Database
	default:
		r.Stores.MariaDBURL = c.Database
	}
	if c.RedisURL != "" {
		if plan.Redis = host.RealRedis; c.Redis == host.EmbeddedRedis {
			return nil, errors.New("--redis-url: contradicts --redis embedded: leave one out")
		}
		r.Stores.RedisURL = c.RedisURL
	}
	if r.Executable, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program, to start servers of it: %w", err)
	}
	return r, nil
}

// typed returns the command line as it may be shown: without passwords, and without those of its
// files that change nothing of what was measured. The page for the documentation stays.
func typed(args []string) string {
	words := []string{"holdfast"}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		flag, value, found := strings.Cut(arg, "=")
		switch {
		case slices.Contains([]string{"--json", "--csv", "--html", "--baseline"}, flag):
			if !found {
				i++ // its value
			}
			continue
		case flag == "-q" || flag == "--quiet":
			continue
		case strings.HasPrefix(arg, "--") && found:
			arg = flag + "=" + clients.RedactURL(value)
		case strings.Contains(arg, "://"):
			arg = clients.RedactURL(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// writable fails if a report could not be written after the work, because its directory does not
// exist.
func (c *experimentCommand) writable() error {
	for flag, path := range map[string]string{"--json": c.JSON, "--csv": c.CSV, "--html": c.HTML, "--markdown": c.Markdown} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return fmt.Errorf("%s %s: there is no directory %s: create it first", flag, path, filepath.Dir(path))
		}
	}
	return nil
}

// write writes the files that were asked for.
func (c *experimentCommand) write(r report.Report) error {
	var errs []error
	for _, f := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{c.JSON, r.WriteJSON},
		{c.CSV, r.WriteCSV},
		{c.HTML, r.WriteHTML},
		{c.Markdown, r.WriteMarkdown},
	} {
		if f.path == "" {
			continue
		}
		file, err := os.Create(f.path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, f.write(file), file.Close())
	}
	return errors.Join(errs...)
}
