package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/lockprovider"
)

type importCommand struct {
	File  string `arg:"" type:"path" help:"Shopify's product export; - reads the standard input."`
	Check bool   `help:"Only tell what is wrong with the file, and what would be done with the rest; change nothing."`
	Stock string `enum:"difference,set,ignore" default:"difference" help:"What to do with the quantities: move the difference to the file before, set them, or ignore them (${enum})."`
}

// Help is shown by holdfast import --help.
func (*importCommand) Help() string {
	return `Each variant becomes a product, known by its SKU, so that an import may be repeated: products that are there are
updated, and those that the file does not name stay. Name, description and price are set where they differ. Drafts, archived and
unpublished products are archived where they are known, and left out where not.

Stock is adjusted by the difference between this file and the one before, so that what has been sold in between stays sold. The
first file that names a product sets its stock. With --stock set, the file is compared with what can be bought now. An empty
quantity leaves the stock alone.

Lines that cannot be imported are told one by one, with what to do about them; the others are imported all the same. Correct
the file and import it again.`
}

// importer is the administrator whom the records of an import name.
var importer = commerce.Viewer{UserID: "import", Name: "holdfast import", Admin: true}

// Run imports the file. It fails if any line could not be imported.
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
	if len(rows) > 0 {
		ctx, stop := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		var failed []*commerce.LineError
		if c.Check {
			done, failed, err = planRows(ctx, cfg, e, rows, commerce.StockMode(c.Stock))
		} else {
			done, failed, err = importRows(ctx, cfg, e.stderr, rows, commerce.StockMode(c.Stock))
		}
		if err != nil {
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
	if c.Check && done == nil {
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
	if c.Check {
		return "nothing is changed; it would be: " + strings.Join(parts, ", ")
	}
	return strings.Join(parts, ", ")
}

// planRows tells what an import would do with the rows, each move of a stock in a line of its own. It reads the database, and
// writes nothing.
func planRows(
	ctx context.Context, cfg config.Config, e *environment, rows []commerce.ImportRow, mode commerce.StockMode,
) (planned map[commerce.ImportOutcome]int, failed []*commerce.LineError, err error) {
	if path, ok := strings.CutPrefix(cfg.Database.URL, "sqlite://"); ok {
		path, _, _ = strings.Cut(path, "?")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) { // to open it would create it
			return nil, nil, e.print("there is no database yet: all products would be created")
		}
	}
	db, err := clients.OpenDatabase(ctx, cfg.Database.URL, clients.DatabaseOptions{MaxOpen: 1})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	pending, err := db.Pending(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(pending) > 0 {
		return nil, nil, e.print("what would be done is not known before holdfast migrate has brought the database up to date")
	}
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{})
	catalog := commerce.New(commerce.Deps{Client: db.Ent, Ledger: ledger, Shop: cfg.Shop}).Catalog
	planned = map[commerce.ImportOutcome]int{}
	for _, row := range rows {
		plan, err := catalog.PlanImport(ctx, importer, row, mode)
		refusals, refused := commerce.UserErrors(err)
		switch {
		case refused && ctx.Err() == nil:
			failed = append(failed, lineErrors(row, refusals)...)
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("line %d: %w", row.Line, err)
		}
		planned[plan.Outcome]++
		if plan.Delta != 0 {
			err = e.print(fmt.Sprintf("line %d, %s: stock %d %+d", row.Line, row.SKU, plan.Available, plan.Delta))
		}
		if plan.Outcome == commerce.ImportCreated && row.Stock != nil {
			err = e.print(fmt.Sprintf("line %d, %s: new, stock %d", row.Line, row.SKU, *row.Stock))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return planned, failed, nil
}

func lineErrors(row commerce.ImportRow, refusals []*commerce.Error) []*commerce.LineError {
	lines := make([]*commerce.LineError, len(refusals))
	for i, r := range refusals {
		lines[i] = &commerce.LineError{Line: row.Line, Problem: r.Message, Fix: fixOf(r)}
	}
	return lines
}

// importRows imports the rows that it can, and returns a problem for each that it cannot. It joins
// the shop as one more instance: stock is adjusted by the strategy of the live instances, and Open
// fails if they run another. Only a failure of the system, or the user, ends it early.
func importRows(
	ctx context.Context, cfg config.Config, progress io.Writer, rows []commerce.ImportRow, mode commerce.StockMode,
) (done map[commerce.ImportOutcome]int, failed []*commerce.LineError, err error) {
	shop, err := app.Open(ctx, cfg, logger(cfg, progress), app.Options{StockOnly: true})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	done = map[commerce.ImportOutcome]int{}
	bar := newProgressBar(progress, len(rows), "products")
	defer bar.end()
	for i, row := range rows {
		outcome, err := shop.Services.Catalog.Import(ctx, importer, row, mode)
		refusals, refused := commerce.UserErrors(err)
		switch {
		case refused && ctx.Err() == nil:
			failed = append(failed, lineErrors(row, refusals)...)
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
