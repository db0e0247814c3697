package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"holdfast/app"
	"holdfast/clients"
	"holdfast/commerce"
	"holdfast/commerce/shopifycsv"
	"holdfast/config"
	"holdfast/lockprovider"
)

type importCommand struct {
	File     string `arg:"" type:"path" help:"Shopify's product or inventory export; - reads the standard input."`
	Check    bool   `help:"Only tell what is wrong with the file, and what would be done with the rest; change nothing."`
	Stock    string `default:"difference" placeholder:"MODE" help:"What to do with the quantities: difference moves the difference to the file before, set sets them, ignore ignores them. A number is the quantity of variants of which the file gives none."`
	Encoding string `placeholder:"NAME" help:"The encoding of the file, such as windows-1252, if it is neither UTF-8 nor UTF-16."`
	Server   string `placeholder:"URL" help:"Import over the API of this server, such as http://127.0.0.1:8080."`
	Token    string `help:"The access token of an administrator for --server; by default, one that auth.secret makes."`
}

// Help is shown by holdfast import --help.
func (*importCommand) Help() string {
	return `The lines of one handle become the variants of one product. A variant is known by its SKU, so that an import may be repeated:
what is there is updated, and what the file does not name stays. Name, description and price are set where they differ. Drafts, archived and
unpublished products are archived, and come back when the file has them on sale again.

Stock is adjusted by the difference between this file and the one before, so that what has been sold in between stays sold. The
first file that names a product sets its stock. With --stock set, the file is compared with what can be bought now. An empty
quantity leaves the stock alone.

Lines that cannot be imported are told one by one, with what to do about them; the others are imported all the same. Correct
the file and import it again. An import that was cut off goes on when it is repeated.

Beside a server whose Redis is inside of it, the import goes over the server's API. See docs/import.md.`
}

// importer is the administrator whom the records of an import name.
var importer = commerce.Viewer{UserID: "import", Name: "holdfast import", Admin: true}

// importBatch imports some rows, at most commerce.MaxImport, or tells what it would do.
type importBatch func(ctx context.Context, rows []commerce.ImportRow) ([]commerce.ImportResult, error)

// tellUnused names the columns that are not used: those with something in them first, with how many lines have it.
func (c *importCommand) tellUnused(e *environment, unused []shopifycsv.Unused) {
	var filled, empty []string
	for _, column := range unused {
		if column.Lines == 0 {
			empty = append(empty, column.Column)
			continue
		}
		filled = append(filled, fmt.Sprintf("%s (%d)", column.Column, column.Lines))
	}
	if filled != nil {
		c.tell(e, "columns that are not used, and how many lines have something in them: "+strings.Join(filled, ", "))
	}
	if empty != nil {
		c.tell(e, "columns that are not used, and have nothing in them: "+strings.Join(empty, ", "))
	}
}

// Run imports the file. It fails if a line could not be imported, or none of those that there are.
func (c *importCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	mode, fallback, err := stockMode(c.Stock)
	if err != nil {
		return err
	}
	file, err := c.read(shopifycsv.Format{Currency: cfg.Shop.Currency, Encoding: c.Encoding, Stock: fallback})
	if err != nil {
		return err
	}
	c.tellUnused(e, file.Unused)
	ctx, stop := signal.NotifyContext(e.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report := importReport{check: c.Check, problems: file.Problems, notes: file.Notes, done: map[commerce.ImportOutcome]int{}}
	var failure error // after which it is told what was done before
	if len(file.Rows) > 0 {
		imports, closing, err := c.open(ctx, cfg, e, mode)
		if err != nil {
			return err
		}
		failure = errors.Join(report.run(ctx, e, file.Rows, imports), closing())
	}
	report.tell(e)
	if err := e.print(report.summary()); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	return report.verdict(file)
}

// stockMode reads --stock.
func stockMode(text string) (commerce.StockMode, *int64, error) {
	switch mode := commerce.StockMode(text); mode {
	case commerce.StockDifference, commerce.StockSet, commerce.StockIgnore:
		return mode, nil, nil
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		quantity := int64(n)
		return commerce.StockDifference, &quantity, nil
	}
	return "", nil, fmt.Errorf("--stock must be difference, set, ignore, or a number such as 100, not %q", text)
}

func (c *importCommand) read(format shopifycsv.Format) (_ *shopifycsv.File, err error) {
	var file io.ReadCloser = os.Stdin
	if c.File != "-" {
		if file, err = os.Open(c.File); err != nil {
			return nil, err
		}
	}
	read, err := shopifycsv.Read(file, format)
	return read, errors.Join(err, file.Close())
}

func (*importCommand) tell(e *environment, line string) {
	_, _ = fmt.Fprintln(e.stderr, line) // the exit code tells what matters
}

// open returns what imports rows, and what ends it.
func (c *importCommand) open(ctx context.Context, cfg config.Config, e *environment, mode commerce.StockMode) (importBatch, func() error, error) {
	nothing := func() error { return nil }
	if c.Server != "" {
		imports, err := c.overAPI(cfg, c.Server, mode)
		return imports, nothing, err
	}
	if strings.HasPrefix(string(cfg.Database.URL), "sqlite://:memory:") {
		return nil, nil, errors.New("the database would be in the memory of this command, and gone with it: " +
			"import into a server with --server, or set database.url")
	}
	if c.Check {
		return c.openToCheck(ctx, cfg, e, mode)
	}
	// It joins the shop as one more instance: stock is adjusted by the strategy of the live instances, and Open fails if they run
	// another.
	shop, err := app.Open(ctx, cfg, logger(cfg, e.stderr), app.Options{StockOnly: true})
	var beside *lockprovider.NotSharedError
	if errors.As(err, &beside) && beside.Address != "" {
		server := "http://" + reachable(beside.Address)
		c.tell(e, "importing over the API of the server that runs here, "+server)
		imports, err := c.overAPI(cfg, server, mode)
		return imports, nothing, err
	}
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, rows []commerce.ImportRow) ([]commerce.ImportResult, error) {
		return shop.Services.Catalog.Import(ctx, importer, rows, mode)
	}, shop.Close, nil
}

// openToCheck reads the database, and writes nothing.
func (c *importCommand) openToCheck(
	ctx context.Context, cfg config.Config, e *environment, mode commerce.StockMode,
) (_ importBatch, _ func() error, err error) {
	if path, ok := strings.CutPrefix(string(cfg.Database.URL), "sqlite://"); ok {
		path, _, _ = strings.Cut(path, "?")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) { // to open it would create it
			return nil, func() error { return nil }, e.print("there is no database yet: all variants would be created")
		}
	}
	db, err := clients.OpenDatabase(ctx, string(cfg.Database.URL), clients.DatabaseOptions{MaxOpen: 1})
	if err != nil {
		return nil, nil, err
	}
	pending, err := db.Pending(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	if len(pending) > 0 {
		return nil, db.Close, e.print("what would be done is not known before holdfast migrate has brought the database up to date")
	}
	ledger := lockprovider.NewLedger(db.Ent, db.Dialect, commerce.WriteRecords, lockprovider.LedgerSettings{})
	catalog := commerce.New(commerce.Deps{Client: db.Ent, Ledger: ledger, Shop: cfg.Shop}).Catalog
	return func(ctx context.Context, rows []commerce.ImportRow) ([]commerce.ImportResult, error) {
		return catalog.PlanImport(ctx, importer, rows, mode)
	}, db.Close, nil
}

// importReport is what there is to tell of an import.
type importReport struct {
	check    bool
	rows     int // that can be imported, if nothing is known of the database
	done     map[commerce.ImportOutcome]int
	empty    int // new variants without a quantity
	problems []*shopifycsv.LineError
	notes    []shopifycsv.Note

	elsewhere int // variants that have another product, or other options, than in the file
}

const noteElsewhere = "the variant with this SKU is of another product here, or has other options: price and stock are as in the file, and it " +
	"stays where it is. To have it among the variants of its product, give it another SKU in the file, and archive the old one"

// columnsOf are those of the fields that are told of lines.
var columnsOf = map[string]string{"optionValues": "Option1 Value", "options": "Option1 Name", "handle": "Handle"}

// fieldOf is the name of the field of a row that a refusal is about; "" if it names none.
func fieldOf(e *commerce.Error) string {
	if len(e.Field) < 4 { // input, products, the row
		return ""
	}
	return e.Field[3]
}

// run imports the rows that it can. Only a failure of the system, or the user, ends it early.
func (r *importReport) run(ctx context.Context, e *environment, rows []commerce.ImportRow, imports importBatch) error {
	if imports == nil {
		r.rows = len(rows)
		return nil
	}
	bar := newProgressBar(e.stderr, len(rows), "variants")
	defer bar.end()
	finished := 0
	for _, batch := range commerce.ImportBatches(rows, commerce.MaxImport) {
		results, err := imports(ctx, batch) // with an error, of those rows that were imported by then
		for i, result := range results {
			if _, told := commerce.UserErrors(result.Err); result.Err != nil && !told {
				continue // err says so
			}
			if err := r.add(e, batch[i], result); err != nil {
				return err
			}
			finished++
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return fmt.Errorf("after %d of %d: %w; import the file again to go on", finished, len(rows), err)
		}
		bar.show(finished)
	}
	return nil
}

func (r *importReport) add(e *environment, row commerce.ImportRow, result commerce.ImportResult) error {
	if result.Err != nil {
		refusals, _ := commerce.UserErrors(result.Err)
		for _, refusal := range refusals {
			r.problems = append(r.problems, &shopifycsv.LineError{
				Line: row.Line, Column: columnsOf[fieldOf(refusal)], Problem: refusal.Message, Fix: fixOf(refusal),
			})
		}
		return nil
	}
	r.done[result.Outcome]++
	if result.Elsewhere {
		r.elsewhere++
		r.notes = append(r.notes, shopifycsv.Note{Line: row.Line, Text: noteElsewhere})
	}
	switch {
	case result.Outcome == commerce.ImportCreated && row.Stock == nil:
		r.empty++
	case result.Outcome == commerce.ImportSkipped:
		r.notes = append(r.notes, shopifycsv.Note{
			Line: row.Line, Text: "no variant here has this SKU, and the file has no prices to make one: import the product export first",
		})
	}
	switch {
	case !r.check:
		return nil
	case result.Outcome == commerce.ImportCreated && row.Stock != nil:
		return e.print(fmt.Sprintf("line %d, %s: new, stock %d", row.Line, row.SKU, *row.Stock))
	case result.Outcome != commerce.ImportCreated && result.Delta != 0:
		return e.print(fmt.Sprintf("line %d, %s: stock %d %+d", row.Line, result.SKU, result.Available, result.Delta))
	}
	return nil
}

// toldLines bounds the lines that a note names.
const toldLines = 10

// tell prints each problem, and each kind of note with its lines.
func (r *importReport) tell(e *environment) {
	for _, problem := range r.problems {
		_, _ = fmt.Fprintln(e.stderr, problem) // the exit code tells as well
	}
	lines := map[string][]string{}
	var texts []string
	for _, note := range r.notes {
		if lines[note.Text] == nil {
			texts = append(texts, note.Text)
		}
		lines[note.Text] = append(lines[note.Text], strconv.Itoa(note.Line))
	}
	for _, text := range texts {
		named, more := lines[text], ""
		if len(named) > toldLines {
			more = fmt.Sprintf(" and %d more", len(named)-toldLines)
			named = named[:toldLines]
		}
		word := "line"
		if len(lines[text]) > 1 {
			word = "lines"
		}
		_, _ = fmt.Fprintf(e.stderr, "%s %s%s: %s\n", word, strings.Join(named, ", "), more, text)
	}
	if r.empty > 0 {
		_, _ = fmt.Fprintf(e.stderr, "%d new variants have no stock: give them one with --stock N, or by an inventory export\n", r.empty)
	}
}

func (r *importReport) summary() string {
	if r.rows > 0 {
		return fmt.Sprintf("%d variants can be imported", r.rows)
	}
	var parts []string
	for _, outcome := range []commerce.ImportOutcome{
		commerce.ImportCreated, commerce.ImportUpdated, commerce.ImportUnchanged, commerce.ImportArchived, commerce.ImportUnarchived,
		commerce.ImportSkipped,
	} {
		n := r.done[outcome]
		always := outcome == commerce.ImportCreated || outcome == commerce.ImportUpdated || outcome == commerce.ImportUnchanged
		if n > 0 || always {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	if n := len(r.failed()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	if r.empty > 0 {
		parts = append(parts, fmt.Sprintf("%d without stock", r.empty))
	}
	if r.elsewhere > 0 {
		parts = append(parts, fmt.Sprintf("%d elsewhere", r.elsewhere))
	}
	if r.check {
		return "nothing is changed; it would be: " + strings.Join(parts, ", ")
	}
	return strings.Join(parts, ", ")
}

// failed are the lines that have problems.
func (r *importReport) failed() map[int]bool {
	lines := map[int]bool{}
	for _, problem := range r.problems {
		lines[problem.Line] = true
	}
	return lines
}

// verdict is why the command fails, if it does.
func (r *importReport) verdict(file *shopifycsv.File) error {
	if n := len(r.failed()); n > 0 {
		return fmt.Errorf("lines that could not be imported: %d; correct them and import the file again", n)
	}
	if file.Variants > 0 && r.rows == 0 && r.done[commerce.ImportSkipped] == len(file.Rows) {
		return fmt.Errorf("nothing of the file was imported, although it has %d lines", file.Variants)
	}
	return nil
}

func fixOf(e *commerce.Error) string {
	if e.RetryAfter > 0 || e.Code == commerce.VersionConflict {
		return "import the file again"
	}
	if e.Retryable { // the stock, or that the product is missing
		return "correct this line, or import the file again when the product has changed"
	}
	if len(e.Field) > 0 && e.Field[len(e.Field)-1] == "currency" { // the file names none: it is the configuration's
		return "start the import with the currency of the server, as with --set shop.currency=EUR"
	}
	return "correct this line"
}
