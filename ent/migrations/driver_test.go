package migrations

import (
	"reflect"
	"strings"
	"testing"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/mysql"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"
)

// TestStatementsAreThoseOfAtlas splits texts by our driver and by Atlas' own: the migrations, and what has a semicolon inside
// of a statement in one database or the other.
func TestStatementsAreThoseOfAtlas(t *testing.T) {
	texts := map[string]string{
		"trigger":   "CREATE TRIGGER a AFTER INSERT ON b BEGIN DELETE FROM c; DELETE FROM d; END;\nSELECT 1;",
		"atomic":    "CREATE FUNCTION a() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; SELECT 2; END a;\nSELECT 1;",
		"dollar":    "CREATE FUNCTION a() RETURNS int AS $x$ SELECT 1; SELECT 2; $x$ LANGUAGE SQL;\nSELECT 1;",
		"backslash": `INSERT INTO a VALUES ('it\'s; one');` + "\nSELECT 1;",
		"escape":    `INSERT INTO a VALUES (E'it\'s; one');` + "\nSELECT 1;",
		"hash":      "# it's; one comment\nSELECT 1;",
	}
	for _, folder := range folders {
		entries, err := files.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := files.ReadFile(folder + "/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(entry.Name(), ".sql") {
				texts[folder+"/"+entry.Name()] = string(text)
			}
		}
	}
	for dialectName, atlas := range map[string]migrate.StmtScanner{
		dialect.SQLite: new(sqlite.Driver), dialect.Postgres: new(postgres.Driver), dialect.MySQL: new(mysql.Driver),
	} {
		for name, text := range texts {
			want, wantErr := atlas.ScanStmts(text)
			got, err := driver{scanner: scanners[dialectName]}.ScanStmts(text)
			if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s, %s: %+v, %v, want %+v, %v", dialectName, name, got, err, want, wantErr)
			}
		}
	}
}
