package tabletest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
)

// bound is how long one command may take, on a machine that is loaded and has to compile everything.
const bound = 20 * time.Minute

// advisory is a strategy that is not one of ours: a file of package lockprovider.
const advisory = `package lockprovider

import (
	"context"
	"errors"
	"fmt"

	"holdfast/lockprovider/ledger"
)

// Advisory is the strategy of advisory locks.
const Advisory Strategy = "advisory"

// advisory takes an advisory lock of PostgreSQL for each balance, in key order, and holds it until the commit.
type advisory struct {
	ledger   *Ledger
	settings Settings
}

func newAdvisory(d Deps) (Provider, error) { return &advisory{ledger: d.Ledger, settings: d.Settings}, nil }

func (p *advisory) Execute(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Once(ctx, c, func(ctx context.Context) (Receipt, error) {
		bounded, cancel := context.WithTimeoutCause(ctx, p.settings.Wait, ErrLockTimeout)
		defer cancel()
		for attempt := 1; ; attempt++ {
			receipt, err := p.once(bounded, c)
			receipt.Attempts = max(receipt.Attempts, attempt)
			if !errors.Is(err, ledger.ErrStale) {
				return receipt, err
			}
			if attempt >= p.settings.Attempts {
				return receipt, fmt.Errorf("%w: %w", ErrConflict, err)
			}
		}
	})
}

func (p *advisory) once(ctx context.Context, c Change) (Receipt, error) {
	return p.ledger.Run(ctx, Advisory, func(tx *ledger.Tx) error {
		for _, key := range lockKeys(c.Balances()) {
			if _, err := tx.Ent.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key); err != nil {
				return err
			}
		}
		read, err := tx.Read(ctx, c.Moves, ledger.Plain)
		if err != nil {
			return err
		}
		after, err := ledger.Check(read, c.Moves)
		if err != nil {
			return err
		}
		return tx.Write(ctx, c, read, after, ledger.SameVersion)
	})
}
`

// advisoryRow is its row in the table of strategies.
const advisoryRow = `
	{
		Name: Advisory, New: newAdvisory, Needs: Needs{Database: dialect.Postgres}, Traits: Traits{Locks: true}, Kind: DatabaseAlone,
		Summary:     "an advisory lock of PostgreSQL",
		Description: "An advisory lock of PostgreSQL, held until the commit.",
		Why:         "the database hands its lock on as soon as a commit is done",
		Document: Document{
			Exclusion: "PostgreSQL, pg_advisory_xact_lock in key order",
			Check:     "Go", Write: "the same transaction", Confirmed: onReturn, Faults: faultsOfTheDatabase,
		},
	},`

// seatsRow is a family that is not one of ours: its row in the table of families.
const seatsRow = `
	{
		Name: "SEATS", Description: "Seats of concerts.",
		Prefixes: []string{"seat:"}, LockKey: ownLock, TestKey: func(id string) string { return "seat:" + id },
		Defaults: FamilyDefaults{Strategy: RowLock, Wait: 5 * time.Second, Lease: 3 * time.Second},
	},`

// TestStrategyIsOneFileAndOneRow adds a strategy.
func TestStrategyIsOneFileAndOneRow(t *testing.T) {
	c := newCopy(t)
	c.write("lockprovider/advisory.go", advisory)
	c.addRow("lockprovider/strategies.go", "var Strategies = ", advisoryRow)
	c.generateAndBuild()
	c.mustName("ADVISORY", "graph/schema.graphql", "graph/model/models_gen.go")
	c.mustName("`advisory`", "README.md", "docs/strategies.md")
	c.run("test", "./lockprovider/document", "./config", "./experiment/plans", "./experiment/report")
	c.run("test", "./graph", "-run", "Schema|Enum|Described")
	out := c.run("test", "./lockprovider", "-count=1", "-v", "-run", "^Test(StrategiesAreComplete|Conformance)$/^env$/^"+dialect.Postgres+"$/^advisory$")
	if strings.Contains(out, "--- SKIP: TestConformance/env/postgres") {
		t.Skip("PostgreSQL is not installed: built and generated, but conformance was not run")
	}
	c.mustHavePassed(out, "TestConformance/env/postgres/advisory/STOCK", "TestConformance/env/postgres/advisory/ACCOUNTS")
}

// TestFamilyIsOneRow adds a fifth family.
func TestFamilyIsOneRow(t *testing.T) {
	c := newCopy(t)
	c.addRow("lockprovider/families.go", "var FamilyTable = ", seatsRow)
	c.generateAndBuild()
	c.mustName("SEATS", "graph/schema.graphql", "graph/model/models_gen.go")
	c.run("test", "./lockprovider/document", "./config")
	c.run("test", "./graph", "-run", "Schema|Enum|Described")
	out := c.run("test", "./lockprovider", "-count=1", "-v", "-run",
		"^Test(FamiliesAreComplete|Conformance)$/^env$/^"+`sqlite(\+embedded)?`+"$/.*/^SEATS$")
	c.mustHavePassed(out, "TestConformance/env/sqlite/rowlock/SEATS", "TestConformance/env/sqlite+embedded/lua/SEATS",
		"TestConformance/env/sqlite+embedded/pubsub/SEATS")
}

// sourceCopy is a copy of the source tree.
type sourceCopy struct {
	t   *testing.T
	dir string
}

// newCopy copies the files that git knows or would add, as they are now.
func newCopy(t *testing.T) *sourceCopy {
	t.Helper()
	if os.Getenv("HOLDFAST_CHECK") != "1" {
		t.Skip("builds a copy of the source tree: run by make check, or with HOLDFAST_CHECK=1")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	c := &sourceCopy{t: t, dir: t.TempDir()}
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files in %s: %v", root, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted, and not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.write(name, string(content))
	}
	return c
}

func (c *sourceCopy) write(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *sourceCopy) read(name string) string {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(name)))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(content)
}

// addRow adds a row at the end of a table, which begins in the line that has the declaration.
func (c *sourceCopy) addRow(name, declaration, row string) {
	c.t.Helper()
	text := c.read(name)
	begin := strings.Index(text, declaration)
	if begin < 0 {
		c.t.Fatalf("no %q in %s", declaration, name)
	}
	end := strings.Index(text[begin:], "\n}\n")
	if end < 0 {
		c.t.Fatalf("the table after %q in %s does not end", declaration, name)
	}
	c.write(name, text[:begin+end]+row+text[begin+end:])
}

func (c *sourceCopy) generateAndBuild() {
	c.t.Helper()
	c.run("generate", "./lockprovider", "./graph", "./config")
	c.run("build", "./...")
}

// run runs a go command in the copy and returns what it printed. A command that fails ends the test.
func (c *sourceCopy) run(args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), bound)
	defer cancel()
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = c.dir
	// With -trimpath, the copy finds in the build cache what the tree has built. The copy's own tests of this kind are skipped.
	command.Env = append(os.Environ(), "GOFLAGS=-trimpath", "HOLDFAST_CHECK=", "PWD="+c.dir)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	began := time.Now()
	err := command.Run()
	line := command.String()
	if ctx.Err() != nil {
		c.t.Fatalf("%s: not done within %s:\n%s", line, bound, out.String())
	}
	if err != nil {
		c.t.Fatalf("%s: %v: something else has to be edited:\n%s", line, err, out.String())
	}
	c.t.Logf("%s: %s", line, time.Since(began).Round(time.Second))
	return out.String()
}

// mustName fails the test unless each file names what was added.
func (c *sourceCopy) mustName(what string, files ...string) {
	c.t.Helper()
	for _, file := range files {
		if !strings.Contains(c.read(file), what) {
			c.t.Errorf("%s does not name %s after go generate", file, what)
		}
	}
}

// mustHavePassed fails the test unless each of the tests was run and has passed.
func (c *sourceCopy) mustHavePassed(out string, tests ...string) {
	c.t.Helper()
	for _, test := range tests {
		if !strings.Contains(out, "--- PASS: "+test+" ") {
			c.t.Errorf("%s has not passed:\n%s", test, out)
		}
	}
}
