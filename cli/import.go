package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/app"
	"holdfast/commerce"
	"holdfast/config"
)

type importCommand struct {
	File  string `arg:"" type:"path" help:"Shopify's product export; - reads the standard input."`
	Check bool   `help:"Only tell what is wrong with the file; change nothing."`
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
	if !c.Check && len(rows) > 0 {
		ctx, stop := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		var failed []*commerce.LineError
		if done, failed, err = importRows(ctx, cfg, e.stderr, rows, commerce.StockMode(c.Stock)); err != nil {
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

// importRows imports the rows that it can, and returns a problem for each that it cannot. It joins
// the shop as one more instance: stock is adjusted by the strategy of the live instances, and Open
// fails if they run another. Only a failure of the system, or the user, ends it early.
func importRows(
	ctx context.Context, cfg config.Config, progress io.Writer, rows []commerce.ImportRow, mode commerce.StockMode,
) (done map[commerce.ImportOutcome]int, failed []*commerce.LineError, err error) {
	shop, err := app.Open(ctx, cfg, logger(cfg, progress), app.Options{BesideServers: true})
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
