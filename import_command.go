package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/ent/instance"
	"holdfast/events"
	"holdfast/lockprovider"
)

type importCommand struct {
	File  string `arg:"" type:"path" help:"Shopify's product export; - reads the standard input."`
	Check bool   `help:"Only tell what is wrong with the file; change nothing."`
}

// Help is shown by holdfast import --help.
func (*importCommand) Help() string {
	return `Each variant becomes a product, known by its SKU, so that an import may be repeated: products that are there are
updated, and those that the file does not name stay. Name, description and price are set where they differ; stock is adjusted
by the difference between the file and what can be bought now. An empty quantity leaves the stock alone. Drafts, archived and
unpublished products are archived where they are known, and left out where not.

Lines that cannot be imported are told one by one, with what to do about them; the others are imported all the same. Correct
the file and import it again.`
}

// importer is who changes the catalogue, in the records.
var importer = commerce.Viewer{UserID: "import", Name: "holdfast import", Admin: true}

// Run imports, and fails where any line could not be.
func (c *importCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	rows, refused, err := c.read(cfg.Shop.Currency)
	if err != nil {
		return err
	}
	done := map[commerce.ImportOutcome]int{}
	if !c.Check && len(rows) > 0 {
		ctx, stop := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		var failed []*commerce.LineError
		if done, failed, err = importRows(ctx, cfg, e.stderr, rows); err != nil {
			return err
		}
		refused = append(refused, failed...)
	}
	for _, r := range refused {
		_, _ = fmt.Fprintln(e.stderr, r) // the exit code tells as well
	}
	if err := e.print(c.summary(len(rows), done)); err != nil {
		return err
	}
	if len(refused) > 0 {
		return fmt.Errorf("lines that could not be imported: %d; correct them and import the file again", len(refused))
	}
	return nil
}

func (c *importCommand) read(currency string) (_ []commerce.ImportRow, _ []*commerce.LineError, err error) {
	var file io.ReadCloser = os.Stdin
	if c.File != "-" {
		if file, err = os.Open(c.File); err != nil {
			return nil, nil, err
		}
	}
	rows, refused := commerce.ReadShopifyCSV(file, currency)
	return rows, refused, file.Close()
}

func (c *importCommand) summary(rows int, done map[commerce.ImportOutcome]int) string {
	if c.Check {
		return fmt.Sprintf("%d products can be imported", rows)
	}
	var parts []string
	for _, outcome := range []commerce.ImportOutcome{
		commerce.ImportCreated, commerce.ImportUpdated, commerce.ImportUnchanged, commerce.ImportArchived, commerce.ImportSkipped,
	} {
		if n := done[outcome]; n > 0 || outcome != commerce.ImportArchived && outcome != commerce.ImportSkipped {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
}

// importRows imports what can be, and tells what cannot. Only a failure of the system, or the user, ends it early.
func importRows(
	ctx context.Context, cfg config.Config, progress io.Writer, rows []commerce.ImportRow,
) (done map[commerce.ImportOutcome]int, failed []*commerce.LineError, err error) {
	var closers closers
	defer func() { err = errors.Join(err, closers.close()) }()
	catalog, err := openCatalog(ctx, cfg, progress, &closers)
	if err != nil {
		return nil, nil, err
	}
	done = map[commerce.ImportOutcome]int{}
	bar := newProgressBar(progress, len(rows), "products")
	defer bar.end()
	for i, row := range rows {
		outcome, err := catalog.Import(ctx, importer, row)
		refusals, refused := commerce.UserErrors(err)
		switch {
		case refused && ctx.Err() == nil:
			for _, r := range refusals {
				failed = append(failed, &commerce.LineError{Line: row.Line, Problem: r.Message, Fix: fixOf(r)})
			}
		case err != nil:
			return nil, nil, fmt.Errorf("line %d: %w; import the file again to go on", row.Line, err)
		default:
			done[outcome]++
		}
		bar.show(i + 1)
	}
	return done, failed, nil
}

func fixOf(e *commerce.Error) string {
	if e.Retryable || e.Code == commerce.VersionConflict {
		return "import the file again"
	}
	return "correct this line"
}

// openCatalog joins the shop as one more instance: stock is adjusted by the strategy of those that are live, and is refused
// where they run another.
func openCatalog(ctx context.Context, cfg config.Config, stderr io.Writer, closers *closers) (*commerce.Catalog, error) {
	log := logger(cfg, stderr)
	db, err := clients.OpenDatabase(ctx, cfg.Database.URL, clients.DatabaseOptions{MaxOpen: cfg.Database.MaxOpen})
	if err != nil {
		return nil, err
	}
	closers.add("database", db.Close)
	if err := migrate(ctx, db, cfg, log); err != nil {
		return nil, err
	}
	if err := aloneOrShared(ctx, db, cfg); err != nil {
		return nil, err
	}
	redis, err := clients.OpenRedis(ctx, clients.RedisOptions{URL: cfg.Redis.URL, PoolSize: cfg.Redis.PoolSize})
	if err != nil {
		return nil, err
	}
	closers.add("redis", redis.Close)
	if err := neverEvicts(ctx, redis, cfg, log); err != nil {
		return nil, err
	}
	deployment, err := lockprovider.Join(ctx, db.Ent, cfg.Strategies(), lockprovider.DeploymentSettings{
		Heartbeat: cfg.Deployment.Heartbeat, Expiry: cfg.Deployment.Expiry,
	})
	if err != nil {
		return nil, err
	}
	closers.add("deployment", func() error { return deployment.Leave(context.WithoutCancel(ctx)) })

	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, cfg.Database.TxRetries)
	providers, err := lockprovider.Build(lockprovider.Deps{
		Ledger: ledger, Redis: redis.Client, RedisNodes: redis.Nodes, Instance: deployment.Instance(),
		Epochs: deployment.Epochs(), Deployment: deployment, Log: log, Worker: worker(cfg),
	}, cfg.Families())
	if err != nil {
		return nil, err
	}
	closers.add("providers", providers.Close)

	// No other instance may be there to do what the strategies need in the background.
	persisting := events.PersisterDeps{
		Ledger: ledger, Instance: deployment.Instance(), Settings: persister(cfg),
		Metrics: events.NewPersisterMetrics(nil), Log: log,
	}
	if err := runStrategies(ctx, redis, deployment, providers, persisting, closers); err != nil {
		return nil, err
	}
	return commerce.New(commerce.Deps{
		Client: db.Ent, Ledger: ledger, Providers: providers, Shop: commerce.ShopSettings{Currency: cfg.Shop.Currency},
	}).Catalog, nil
}

// aloneOrShared refuses to work beside a server whose Redis is inside of it: neither would see the other's locks.
func aloneOrShared(ctx context.Context, db *clients.Database, cfg config.Config) error {
	strategy := cfg.Strategies()[lockprovider.Stock]
	if cfg.Redis.URL != clients.EmbeddedRedis || !lockprovider.NeedsRedis(strategy) {
		return nil
	}
	live, err := db.Ent.Instance.Query().
		Where(instance.HeartbeatAtGT(time.Now().UTC().Add(-cfg.Deployment.Expiry))).Exist(ctx)
	if err != nil || !live {
		return err
	}
	return fmt.Errorf("a server is running, and the strategy %s of its stock works with a Redis inside of it, "+
		"which cannot be reached from here: stop it first, or set redis.url for both", strategy)
}

// progressBar shows how far a loop has come, on a terminal; elsewhere it is silent.
type progressBar struct {
	display *progressDisplay
	total   int
	what    string
	shown   time.Time
}

// Bounds of what a bar shows.
const (
	barWidth    = 30
	barInterval = 100 * time.Millisecond
)

func newProgressBar(out io.Writer, total int, what string) *progressBar {
	return &progressBar{display: newProgressDisplay(out), total: total, what: what}
}

func (b *progressBar) show(done int) {
	if !b.display.terminal || done < b.total && time.Since(b.shown) < barInterval {
		return
	}
	b.shown = time.Now()
	filled := barWidth * done / b.total
	b.display.line(fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled),
		done, b.total, b.what))
}

// end leaves the line to whatever is printed next.
func (b *progressBar) end() {
	if b.display.terminal {
		_, _ = fmt.Fprintln(b.display.out) // a display that cannot be written to is no reason to stop
	}
}
