package e2e

import (
	"os"
	"path/filepath"
	"strings"
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
	checked("there is no database yet: all products would be created\n2 products can be imported")
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
	wantEqual(t, "printed", p.stdout.String(), "1 created, 0 updated, 0 unchanged\n")
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

// TestImportBesideAServer: an import and a server that share no Redis do not see each other's locks, so the import
// refuses to start. Under row locks they need no Redis.
func TestImportBesideAServer(t *testing.T) {
	noLeaks(t)
	file := filepath.Join(t.TempDir(), "products.csv")
	must(t, os.WriteFile(file, []byte(importHeader+"keyboard,Mechanical keyboard,KB-75,240,89.00\n"), 0o600))

	stores := openSQLite(t)
	server := boot(t, stores.development())
	p := start(t, stores.development(), "import", file)
	wantEqual(t, "exit code", p.wait(), exitFailed)
	if !strings.Contains(p.stderr.String(), "stop it first, or set redis.url for both") {
		t.Errorf("wrote\n%s", p.stderr.String())
	}
	server.stop()

	rowlock := set("locks.stock.provider=rowlock")
	server = boot(t, stores.development(), rowlock...)
	wantEqual(t, "printed", command(t, stores.development(), append(rowlock, "import", file)...),
		"0 created, 1 updated, 0 unchanged\n")
	server.stop()
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
