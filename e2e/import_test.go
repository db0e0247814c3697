package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/ent/product"
)

const importHeader = "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price\n"

// TestImportCommand imports a file, the same file again, a corrected one and one with faults.
func TestImportCommand(t *testing.T) {
	noLeaks(t)
	stores := openSQLite(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	write := func(lines string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(importHeader+lines), 0o600))
	}
	imported := func(want string) {
		t.Helper()
		wantEqual(t, "printed", command(t, stores.production(), "import", file), want+"\n")
	}

	write("mug,Mug,MUG,7,12.00\nplate,Plate,PLATE,9,15.00\n")
	checked := func(want string, flags ...string) {
		t.Helper()
		wantEqual(t, "printed", command(t, stores.production(), append([]string{"import", "--check", file}, flags...)...), want+"\n")
	}
	checked("there is no database yet: all variants would be created\n2 variants can be imported")
	imported("2 created, 0 updated, 0 unchanged")
	checked("nothing is changed; it would be: 0 created, 0 updated, 2 unchanged")
	imported("0 created, 0 updated, 2 unchanged")
	write("mug,Mug,MUG,7,12.50\nplate,Plate,PLATE,8,15.00\nfork,Fork,FORK,4,2.00\n")
	for range 2 { // it changes nothing, so that it may be repeated
		checked("line 3, PLATE: stock 9 -1\nline 4, FORK: new, stock 4\nnothing is changed; it would be: 1 created, 2 updated, 0 unchanged")
	}
	checked("line 4, FORK: new, stock 4\nnothing is changed; it would be: 1 created, 1 updated, 1 unchanged", "--stock", "ignore")
	write("mug,Mug,MUG,7,12.50\nplate,Plate,PLATE,8,15.00\n")
	imported("0 created, 2 updated, 0 unchanged")

	write("mug,Mug,MUG,7,free\nbowl,Bowl,BOWL,3,9.00\n")
	p := start(t, stores.production(), "import", file)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	wantEqual(t, "printed", p.stdout.String(), "1 created, 0 updated, 0 unchanged, 1 failed\n")
	for _, part := range []string{
		`line 2, column "Variant Price": "free" is no price; write digits and a decimal point, such as 1299.00`,
		"lines that could not be imported: 1",
	} {
		if !strings.Contains(p.stderr.String(), part) {
			t.Errorf("does not say %q:\n%s", part, p.stderr.String())
		}
	}

	rows, err := stores.open(t).Ent.Product.Query().Order(product.BySku()).All(t.Context())
	must(t, err)
	var got []string
	for _, row := range rows {
		got = append(got, row.Sku)
	}
	wantEqual(t, "products", strings.Join(got, " "), "BOWL MUG PLATE")
	stores.audit(t)
}

// TestImportCommandOfVariants: the lines of a handle become one product, also over the API of a server; --check tells the same before. A variant
// that is elsewhere is told with what to do about it, and what cannot be with line and column.
func TestImportCommandOfVariants(t *testing.T) {
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	const header = "Handle,Title,Body (HTML),Vendor,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Status\n"
	stores := openSQLite(t)
	server := boot(t, stores.production())
	for _, step := range []struct {
		flags                   []string
		file, counts, told, err string
	}{
		{
			file: "shirt-m,Shirt – M,Old,Acme,a,,,S-M,5,10,active\n", counts: "1 created, 0 updated, 0 unchanged",
			told: "line 2, S-M: new, stock 5\n",
		},
		{
			file:   "shirt,Shirt,Warm,Acme,\"a,b\",Size,M,S-M,5,10,active\nshirt,,,,,,L,S-L,6,11,\nshirt,,,,,,XL,S-XL,7,12,\n",
			counts: "2 created, 0 updated, 1 unchanged, 1 elsewhere", told: "line 3, S-L: new, stock 6\nline 4, S-XL: new, stock 7\n",
			err: "line 2: the variant with this SKU is of another product here, or has other options",
		},
		{
			file:   "shirt,Shirt,Warm,Acme,\"a,b\",Size,M,S-M,5,10,active\nshirt,,,,,,L,S-L,6,11,\nshirt,,,,,,XL,S-XL,9,12,\n",
			counts: "0 created, 1 updated, 2 unchanged, 1 elsewhere", told: "line 4, S-XL: stock 7 +2\n",
		},
	} {
		must(t, os.WriteFile(file, []byte(header+step.file), 0o600))
		p := start(t, stores.production(), "import", file, "--check", "--server", server.url)
		wantEqual(t, "exit code", p.wait(), 0)
		wantEqual(t, "printed", p.stdout.String(), step.told+"nothing is changed; it would be: "+step.counts+"\n")
		p = start(t, stores.production(), "import", file, "--server", server.url)
		wantEqual(t, "exit code", p.wait(), 0)
		wantEqual(t, "printed", p.stdout.String(), step.counts+"\n")
		if !strings.Contains(p.stderr.String(), step.err) {
			t.Errorf("does not say %q:\n%s", step.err, p.stderr.String())
		}
	}
	server.stop()
	must(t, os.WriteFile(file, []byte(header+"shirt,Shirt,Warm,Acme,\"a,b\",Size,m,S-NEW,5,10,active\nshirt,,,,,,xl,S-NEW-2,6,11,\n"), 0o600))
	p := start(t, stores.production(), "import", file)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	wantEqual(t, "printed", p.stdout.String(), "1 created, 0 updated, 0 unchanged, 1 failed\n")
	if want := `line 3, column "Option1 Value": the variant with the SKU "S-XL" of this product`; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("does not say %q:\n%s", want, p.stderr.String())
	}
	db := stores.open(t)
	row, err := db.Ent.Product.Query().Where(product.Handle("shirt")).Only(t.Context())
	must(t, err)
	wantEqual(t, "variants", row.VariantCount, 3)
	wantEqual(t, "vendor, tags and description", fmt.Sprint(row.Vendor, row.Tags, row.Description), "Acme[a b]Warm")
	stores.audit(t)
}

// TestImportBesideAServer: an import and a server that share no Redis do not see each other's locks, so the import goes over the
// server's API, which it finds by itself or is told. Under row locks they need no Redis.
func TestImportBesideAServer(t *testing.T) {
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	write := func(stock string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(importHeader+"keyboard,Mechanical keyboard,KB-75,"+stock+",89.00\nfree,Free,FREE,1,none\n"), 0o600))
	}
	imported := func(env []string, want string, args ...string) *process {
		t.Helper()
		p := start(t, env, append([]string{"import", file}, args...)...)
		wantEqual(t, "exit code", p.wait(), exitFailed) // for the line without a price
		wantEqual(t, "printed", p.stdout.String(), want+"\n")
		return p
	}

	write("240")
	stores := openSQLite(t)
	server := boot(t, stores.development())
	p := imported(stores.development(), "0 created, 1 updated, 0 unchanged, 1 failed")
	if !strings.Contains(p.stderr.String(), "importing over the API of the server that runs here, "+server.url) {
		t.Errorf("wrote\n%s", p.stderr.String())
	}
	imported(stores.development(), "0 created, 0 updated, 1 unchanged, 1 failed")
	write("235")
	elsewhere := openSQLite(t)
	told := []string{"--server", server.url, "--token", adminToken(t, stores)}
	imported(elsewhere.development(), "line 2, KB-75: stock 240 -5\nnothing is changed; it would be: 0 created, 1 updated, 0 unchanged, 1 failed",
		append(told, "--check")...)
	imported(elsewhere.development(), "0 created, 1 updated, 0 unchanged, 1 failed", told...)
	p = start(t, elsewhere.development(), append(append([]string{"import", file, "--set", "shop.currency=HUF"}, told...), "--check")...)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	if !strings.Contains(p.stderr.String(), `this shop sells in USD, not "HUF"; start the import with the currency of the server`) {
		t.Errorf("with another currency, wrote\n%s", p.stderr.String())
	}
	if p := start(t, elsewhere.development(), "import", file, "--server", server.url, "--token", "no"); p.wait() != exitFailed ||
		!strings.Contains(p.stderr.String(), "refuses: ") {
		t.Errorf("with a false token: %s", p.stderr.String())
	}
	server.stop()

	rowlock := set("locks.stock.provider=rowlock")
	server = boot(t, stores.development(), rowlock...)
	imported(stores.development(), "0 created, 0 updated, 1 unchanged, 1 failed", rowlock...)
	server.stop()
	stores.audit(t)
}

// TestImportOverALimitedAPI sends more requests than one user may at once: it waits, and leaves none out.
func TestImportOverALimitedAPI(t *testing.T) {
	noLeaks(t)
	stores := openSQLite(t)
	server := boot(t, stores.production(), set("http.userRate=60")...) // 12 at once, and then one a second
	const rows = 14 * 200
	text := strings.Builder{}
	text.WriteString(importHeader)
	for i := range rows {
		fmt.Fprintf(&text, "p-%d,Product %d,P-%d,%d,1.00\n", i, i, i, i)
	}
	file := filepath.Join(t.TempDir(), "products.csv")
	must(t, os.WriteFile(file, []byte(text.String()), 0o600))
	wantEqual(t, "printed", command(t, stores.production(), "import", file, "--server", server.url),
		fmt.Sprintf("%d created, 0 updated, 0 unchanged\n", rows))
	server.stop()
	n, err := stores.open(t).Ent.Product.Query().Count(t.Context())
	must(t, err)
	wantEqual(t, "products", n, rows)
	stores.audit(t)
}

// TestImportOfNothing: a file of which nothing came in is a failure, as it is for a script that only looks at the exit code.
func TestImportOfNothing(t *testing.T) {
	noLeaks(t)
	stores := openSQLite(t)
	file := filepath.Join(t.TempDir(), "inventory.csv")
	must(t, os.WriteFile(file, []byte("Handle,Title,SKU,HS Code,COO,Location,Available\nmug,Mug,MUG,,,Shop,5\n"), 0o600))
	p := start(t, stores.production(), "import", file)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	for _, part := range []string{
		"line 2: no variant here has this SKU, and the file has no prices to make one: import the product export first",
		"columns that are not used, and have nothing in them: HS Code, COO", "nothing of the file was imported, although it has 1 lines",
	} {
		if !strings.Contains(p.stderr.String(), part) {
			t.Errorf("does not say %q:\n%s", part, p.stderr.String())
		}
	}
	products := filepath.Join(t.TempDir(), "products.csv")
	must(t, os.WriteFile(products, []byte("Handle,Title,Variant SKU,Variant Price\nmug,Mug,MUG,12\nCup,Cup,CUP,9\n"), 0o600))
	wantEqual(t, "printed", command(t, stores.production(), "import", products), "2 created, 0 updated, 0 unchanged, 2 without stock\n")
	wantEqual(t, "printed", command(t, stores.production(), "import", file), "0 created, 1 updated, 0 unchanged\n")
	wantEqual(t, "printed", command(t, stores.production(), "import", products, "--stock", "30"), "0 created, 2 updated, 0 unchanged\n")
	stores.audit(t)
}

// TestImportThatWasKilled kills an import in its middle, and repeats it: then everything is as the file says. It does so for a file
// that makes products, and for one that moves the stock of each.
func TestImportThatWasKilled(t *testing.T) {
	noLeaks(t)
	const variants = 4 // of each product
	stores := openPostgres(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	write := func(rows, more int) {
		t.Helper()
		text := strings.Builder{}
		text.WriteString("Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\n")
		for i := range rows {
			fmt.Fprintf(&text, "p-%d,Product %d,Size,%d,P-%d,%d,1.00\n", i/variants, i/variants, i%variants, i, i+more)
		}
		must(t, os.WriteFile(file, []byte(text.String()), 0o600))
	}
	killed := func(what string, count func(context.Context) (int, error), of int) {
		t.Helper()
		p := start(t, stores.production(), "import", file)
		n := 0
		eventually(t, what+" to have begun", func() (begun bool) {
			var err error
			n, err = count(t.Context())
			return err == nil && n > 0 // until the tables are there, it is an error
		})
		p.signal(syscall.SIGKILL)
		p.wait()
		n, err := count(t.Context())
		must(t, err)
		if n == of {
			t.Fatalf("%s was over before it was killed", what)
		}
		t.Logf("%s was killed after %d of %d", what, n, of)
	}
	const created, moved = 20_000, 3_000
	command(t, stores.production(), "migrate")
	db := stores.open(t)
	write(created, 0)
	killed("creation", db.Ent.ProductVariant.Query().Count, created)
	whole, err := db.Ent.Product.Query().Where(product.VariantCount(variants)).Count(t.Context())
	must(t, err)
	n, err := db.Ent.Product.Query().Count(t.Context())
	must(t, err)
	wantEqual(t, "products with all of their variants", whole, n)
	command(t, stores.production(), "import", file)
	wantEqual(t, "again", command(t, stores.production(), "import", file), fmt.Sprintf("0 created, 0 updated, %d unchanged\n", created))
	n, err = db.Ent.Product.Query().Count(t.Context())
	must(t, err)
	wantEqual(t, "products", n, created/variants)
	write(moved, 7)
	killed("the moves", db.Ent.Entry.Query().Count, moved)
	command(t, stores.production(), "import", file)
	n, err = db.Ent.Entry.Query().Count(t.Context())
	must(t, err)
	wantEqual(t, "moves", n, moved) // one for each, and none twice
	wantEqual(t, "again", command(t, stores.production(), "import", file), fmt.Sprintf("0 created, 0 updated, %d unchanged\n", moved))
	stores.audit(t)
}

// TestImportUnderLua adjusts stock that Redis keeps, beside a server that sells it.
func TestImportUnderLua(t *testing.T) {
	noLeaks(t)
	stores := openPostgres(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	must(t, os.WriteFile(file, []byte(importHeader+"keyboard,Mechanical keyboard,KB-75,240,89.00\n"), 0o600))
	lua := set("locks.stock.provider=lua")
	server := boot(t, stores.development(), lua...)
	wantEqual(t, "printed", command(t, stores.development(), append(lua, "import", file)...),
		"0 created, 1 updated, 0 unchanged\n")
	wantEqual(t, "printed", command(t, stores.development(), append(lua, "import", file)...),
		"0 created, 0 updated, 1 unchanged\n")
	server.stop()
	stores.audit(t)
}
