package history_test

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/experiment/history"
)

// book writes histories by hand. Times are in milliseconds.
type book struct{ history.History }

func id(n int) uuid.UUID {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[8:], uint64(n))
	return u
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// at is what a mutation was told: that its effect on x is at a position.
func at(position int64) history.Observation {
	return history.Observation{Balance: "x", Position: position}
}

func saw(balance string, position, amount int64) history.Observation {
	return history.Observation{Balance: balance, Position: position, Amount: amount}
}

// write is a mutation that was answered.
func (b *book) write(client, start, end, change int, outcome history.Outcome, observed ...history.Observation) *book {
	b.Operations = append(b.Operations, history.Operation{
		Name: "write", Client: client, Start: ms(start), End: ms(end), Outcome: outcome, Change: id(change), Observed: observed,
	})
	return b
}

func (b *book) read(client, start, end int, observed ...history.Observation) *book {
	b.Operations = append(b.Operations, history.Operation{
		Name: "read", Client: client, Start: ms(start), End: ms(end), Outcome: history.Persisted, Observed: observed,
	})
	return b
}

// effect is a line of the journal that adds 1.
func (b *book) effect(balance string, position int64, change int, after int64) *book {
	b.Journal = append(b.Journal, history.Entry{Balance: balance, Position: position, Change: id(change), Delta: 1, After: after})
	return b
}

// steps says that the change, the last one written, may have two effects on a balance.
func (b *book) steps() *book {
	b.Operations[len(b.Operations)-1].Writes = 2
	return b
}

// sees says what the change, the last one written, saw of balances that it has no effect on.
func (b *book) sees(observed ...history.Observation) *book {
	b.Operations[len(b.Operations)-1].Reads = observed
	return b
}

func (b *book) counts(balance string, moves int64) *book {
	b.Balances = map[string]history.Balance{balance: {Moves: moves}}
	return b
}

// anomalies are one history each that has exactly one anomaly, and one next to it that has none.
var anomalies = []struct {
	name             history.Name
	edges            string // of the shortest cycle
	anomalous, clean func() *book
}{
	{
		history.LostUpdate, "rw ww",
		func() *book { // both read version 0; the second overwrote the first
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).write(2, 1, 11, 2, history.Persisted, at(1)).
				effect("x", 1, 1, 1).effect("x", 1, 2, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).write(2, 1, 11, 2, history.Persisted, at(2)).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
	},
	{
		history.LostUpdate, "rw ww",
		func() *book { // without positions: the amounts tell, and the last effect before is the one that is lost
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				effect("x", 0, 1, 1).effect("x", 0, 2, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				effect("x", 0, 1, 1).effect("x", 0, 2, 2)
		},
	},
	{
		history.G0, "ww ww",
		func() *book { // 1 before 2 in x, 2 before 1 in y
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 2, 1).effect("y", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 1, 1).effect("y", 2, 2, 2)
		},
	},
	{
		history.G1a, "",
		func() *book { // 2 read an amount that nothing has left
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 1, 7)).effect("x", 1, 1, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 1, 1)).effect("x", 1, 1, 1)
		},
	},
	{
		history.G1a, "",
		func() *book { // 2 read a position that was never reached
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 2, 2)).effect("x", 1, 1, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 0, 0)).effect("x", 1, 1, 1)
		},
	},
	{
		history.G1a, "",
		func() *book { // what was refused is there
			return new(book).write(1, 0, 10, 1, history.Refused).write(2, 1, 11, 2, history.Persisted, at(2)).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
		func() *book { // an attempt was refused, and a later one succeeded
			return new(book).write(1, 0, 10, 1, history.Refused).write(1, 11, 20, 1, history.Persisted, at(1)).
				write(2, 1, 21, 2, history.Persisted, at(2)).effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
	},
	{
		history.G1b, "wr rw",
		func() *book { // 1 writes x twice, 2 sees the state in between
			return new(book).write(1, 0, 10, 1, history.Persisted).steps().read(2, 1, 11, saw("x", 1, 1)).
				effect("x", 1, 1, 1).effect("x", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).steps().read(2, 1, 11, saw("x", 2, 2)).
				effect("x", 1, 1, 1).effect("x", 2, 1, 2)
		},
	},
	{
		history.G1c, "ww wr",
		func() *book { // 2 overwrote what 1 did to x, and 1 saw what 2 did to y
			return new(book).write(1, 0, 10, 1, history.Persisted).sees(saw("y", 1, 1)).write(2, 1, 11, 2, history.Persisted).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 2, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).sees(saw("y", 0, 0)).write(2, 1, 11, 2, history.Persisted).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 2, 1)
		},
	},
	{
		history.GSingle, "wr rw",
		func() *book { // 2 sees what 1 did to x, and not what 1 did to y
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 1, 1), saw("y", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).read(2, 1, 11, saw("x", 1, 1), saw("y", 1, 1)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
	},
	{
		history.G2, "rw wr rw wr",
		func() *book { // 3 sees 1 and not 2, 4 sees 2 and not 1: the long fork
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				read(3, 2, 12, saw("x", 1, 1), saw("y", 0, 0)).read(4, 3, 13, saw("x", 0, 0), saw("y", 1, 1)).
				effect("x", 1, 1, 1).effect("y", 1, 2, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
				read(3, 2, 12, saw("x", 1, 1), saw("y", 0, 0)).read(4, 3, 13, saw("x", 1, 1), saw("y", 1, 1)).
				effect("x", 1, 1, 1).effect("y", 1, 2, 1)
		},
	},
	{
		history.G2, "rw rw",
		func() *book { // write skew: each saw that the other's balance had not moved
			return new(book).write(1, 0, 10, 1, history.Persisted).sees(saw("y", 0, 0)).write(2, 1, 11, 2, history.Persisted).sees(saw("x", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 2, 1)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted).sees(saw("y", 0, 0)).write(2, 1, 11, 2, history.Persisted).sees(saw("x", 1, 1)).
				effect("x", 1, 1, 1).effect("y", 1, 2, 1)
		},
	},
	{
		history.StaleRead, "rw real time",
		func() *book { // 1 was acknowledged at 10, and 2 does not see it at 11
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).read(2, 11, 12, saw("x", 0, 0)).effect("x", 1, 1, 1)
		},
		func() *book { // sent as the other was answered: concurrent
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).read(2, 10, 12, saw("x", 0, 0)).effect("x", 1, 1, 1)
		},
	},
	{
		history.StaleRead, "rw ww real time",
		func() *book { // only the later one of the two was acknowledged
			return new(book).write(1, 0, 10, 1, history.Unknown).write(3, 0, 10, 2, history.Persisted, at(2)).
				read(2, 11, 12, saw("x", 0, 0)).effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
		func() *book { // accepted is not persisted: whoever reads may not see it yet
			return new(book).write(1, 0, 10, 1, history.Unknown).write(3, 0, 10, 2, history.Accepted).
				read(2, 11, 12, saw("x", 0, 0)).effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
	},
	{
		history.NonMonotonicRead, "session rw wr",
		func() *book { // nobody was answered but the reader
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 1, 1)).read(2, 6, 8, saw("x", 0, 0)).
				effect("x", 1, 1, 1)
		},
		func() *book { // the one who sees less is another client, at the same time
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 1, 1)).read(3, 4, 8, saw("x", 0, 0)).
				effect("x", 1, 1, 1)
		},
	},
	{
		history.SessionViolation, "wr session rw",
		func() *book { // as the one above, but over two balances, which one change moved
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 1, 1)).read(2, 6, 8, saw("y", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
		func() *book {
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 0, 0)).read(2, 6, 8, saw("y", 1, 1)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
	},
	{
		history.RealTimeViolation, "ww real time",
		func() *book { // 2 was sent after 1 was answered, and comes first
			return new(book).write(1, 0, 10, 1, history.Persisted, at(2)).write(2, 11, 20, 2, history.Persisted, at(1)).
				effect("x", 1, 2, 1).effect("x", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(2)).write(2, 9, 20, 2, history.Persisted, at(1)).
				effect("x", 1, 2, 1).effect("x", 2, 1, 2)
		},
	},
	{
		history.RealTimeViolation, "wr real time rw",
		func() *book { // 2 saw one half of 1; 3, who was later, does not see the other half
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 1, 1)).read(3, 6, 8, saw("y", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
		func() *book {
			return new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 5, saw("x", 1, 1)).read(3, 5, 8, saw("y", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1)
		},
	},
	{
		history.DuplicatedEffect, "",
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).effect("x", 1, 1, 1).effect("x", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).effect("x", 1, 1, 1).effect("x", 2, 2, 2)
		},
	},
	{
		history.DuplicatedEffect, "",
		func() *book { // the repeat was told another position: the shop had forgotten the first time
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).write(1, 11, 20, 1, history.Persisted, at(2)).
				effect("x", 1, 9, 1).effect("x", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(2)).write(1, 11, 20, 1, history.Persisted, at(2)).
				effect("x", 1, 9, 1).effect("x", 2, 1, 2)
		},
	},
	{
		history.VanishedEffect, "",
		func() *book { return new(book).write(1, 0, 10, 1, history.Persisted, at(1)) },
		func() *book { return new(book).write(1, 0, 10, 1, history.Unknown) },
	},
	{
		history.VanishedEffect, "",
		func() *book { // what 1 was told is what 2 did
			return new(book).write(1, 0, 10, 1, history.Persisted, at(1)).write(2, 1, 11, 2, history.Persisted, at(1)).
				effect("x", 1, 2, 1).effect("x", 2, 1, 2)
		},
		func() *book {
			return new(book).write(1, 0, 10, 1, history.Persisted, at(2)).write(2, 1, 11, 2, history.Persisted, at(1)).
				effect("x", 1, 2, 1).effect("x", 2, 1, 2)
		},
	},
	{
		history.VanishedEffect, "",
		func() *book { return new(book).effect("x", 1, 1, 1).effect("x", 3, 3, 3) },
		func() *book { return new(book).effect("x", 1, 1, 1).effect("x", 2, 3, 2) },
	},
	{
		history.VanishedEffect, "",
		func() *book { return new(book).effect("x", 1, 1, 1).counts("x", 2) },
		func() *book { return new(book).effect("x", 1, 1, 1).counts("x", 1) },
	},
}

func TestAnomaliesGetTheirNames(t *testing.T) {
	known := map[history.Name]bool{}
	for _, test := range anomalies {
		known[test.name] = true
		t.Run(string(test.name), func(t *testing.T) {
			found := history.Check(&test.anomalous().History)
			if len(found) != 1 || found[0].Name != test.name || found[0].Count != 1 {
				t.Fatalf("found %+v, want one %s", found, test.name)
			}
			var edges []string
			for _, s := range found[0].Cycle {
				if s.Edge != "" {
					edges = append(edges, string(s.Edge))
				}
			}
			if got := strings.Join(edges, " "); got != test.edges && !isRotation(edges, test.edges) {
				t.Errorf("the cycle is %q, want %q:\n%s", got, test.edges, found[0].Text)
			}
			if !strings.HasPrefix(found[0].Text, string(test.name)+": ") || len(edges) != strings.Count(found[0].Text, " is before ") {
				t.Errorf("the text is\n%s", found[0].Text)
			}
			checkSVG(t, &found[0])
			if found := history.Check(&test.clean().History); len(found) > 0 {
				t.Errorf("found where nothing is:\n%s", found[0].Text)
			}
		})
	}
	for _, name := range history.Names() {
		if !known[name] {
			t.Errorf("no history has the anomaly %s", name)
		}
		if name.Meaning() == "" {
			t.Errorf("%s has no meaning", name)
		}
	}
}

// picture is what docs/proof.md shows.
const picture = "../../docs/images/stale-read.svg"

var update = flag.Bool("update", false, "write the picture of docs/proof.md")

// TestPictureOfTheDocument: the picture is what the code draws, of a history that the document tells.
//
//	go test ./experiment/history -run TestPictureOfTheDocument -update
func TestPictureOfTheDocument(t *testing.T) {
	h := new(book).write(1, 0, 10, 1, history.Persisted, at(1)).read(2, 11, 12, saw("x", 0, 0)).effect("x", 1, 1, 1)
	found := history.Check(&h.History)
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	want := found[0].SVG()
	if *update {
		if err := os.WriteFile(picture, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(picture); err != nil || string(got) != want {
		t.Errorf("%s is not what the code draws (%v): run this test with -update", picture, err)
	}
}

// isRotation reports whether the edges of a cycle are those that are wanted, from another one on.
func isRotation(edges []string, want string) bool {
	for range edges {
		edges = append(edges[1:], edges[0])
		if strings.Join(edges, " ") == want {
			return true
		}
	}
	return false
}

// checkSVG makes sure that a picture is XML, and has a box for each operation and an arrow for each edge.
func checkSVG(t *testing.T, a *history.Anomaly) {
	t.Helper()
	picture := a.SVG()
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v\n%s", err, picture)
		}
	}
	edges := 0
	for _, s := range a.Cycle {
		if s.Edge != "" {
			edges++
		}
	}
	if boxes := strings.Count(picture, "rx='5'"); boxes != len(a.Cycle) {
		t.Errorf("%d boxes for %d operations", boxes, len(a.Cycle))
	}
	if arrows := strings.Count(picture, "marker-end="); arrows != edges {
		t.Errorf("%d arrows for %d edges", arrows, edges)
	}
}

// TestWorseNamesComeFirst: a history may have several anomalies, and each operation of a cycle has the worst name only.
func TestWorseNamesComeFirst(t *testing.T) {
	h := new(book).write(1, 0, 10, 1, history.Persisted).write(2, 1, 11, 2, history.Persisted).
		effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 2, 1).effect("y", 2, 1, 2).        // G0
		write(3, 20, 30, 3, history.Persisted).read(4, 31, 32, saw("z", 0, 0)).effect("z", 1, 3, 1) // stale
	var names []history.Name
	for _, a := range history.Check(&h.History) {
		names = append(names, a.Name)
	}
	if want := []history.Name{history.G0, history.StaleRead}; !slices.Equal(names, want) {
		t.Errorf("found %v, want %v", names, want)
	}
}

// TestAttemptsAreOneChange: the first answer counts that says that the effect is there, and the first attempt is when it may have come.
func TestAttemptsAreOneChange(t *testing.T) {
	h := new(book).write(1, 0, 0, 1, history.Unknown).write(1, 5, 50, 1, history.Persisted, at(1)).
		write(1, 51, 60, 1, history.Persisted, at(1)).                 // a repeat that was told the first result
		read(2, 1, 2, saw("x", 1, 1)).read(3, 40, 41, saw("x", 0, 0)). // between attempt and answer either may be seen
		effect("x", 1, 1, 1)
	found := history.Check(&h.History)
	if len(found) != 1 || found[0].Name != history.RealTimeViolation { // 2 saw it, and 3 later did not
		t.Fatalf("found %+v", found)
	}
	h.Operations = slices.DeleteFunc(h.Operations, func(o history.Operation) bool { return o.Client == 2 })
	if found := history.Check(&h.History); len(found) > 0 {
		t.Errorf("found %s", found[0].Text)
	}
}

// names returns the names and counts of the anomalies of a history.
func names(b *book) string {
	var out []string
	for _, a := range history.Check(&b.History) {
		out = append(out, fmt.Sprintf("%s %d", a.Name, a.Count))
	}
	return strings.Join(out, ", ")
}

// TestMilderNamesDoNotHideWorseOnes: a violation of the clock is no excuse for one of isolation.
func TestMilderNamesDoNotHideWorseOnes(t *testing.T) {
	for _, test := range []struct {
		name string
		of   *book
		want string
	}{
		{
			"the later of two writes comes first in one balance of two",
			new(book).write(2, 0, 10, 2, history.Persisted).write(1, 11, 20, 1, history.Persisted).
				effect("x", 1, 1, 1).effect("x", 2, 2, 2).effect("y", 1, 2, 1).effect("y", 2, 1, 2),
			"G0 1",
		},
		{
			"a read after the answer sees the new x and the old y",
			new(book).write(1, 0, 10, 1, history.Persisted).read(2, 11, 12, saw("x", 1, 1), saw("y", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1),
			"G-single 1",
		},
		{
			"the same client sees the new x and the old y after it saw both new",
			new(book).write(1, 0, 0, 1, history.Unknown).read(2, 1, 2, saw("x", 1, 1), saw("y", 1, 1)).
				read(2, 11, 12, saw("x", 1, 1), saw("y", 0, 0)).effect("x", 1, 1, 1).effect("y", 1, 1, 1),
			"G-single 1",
		},
		{
			"two transfers are each seen by half, in one component",
			new(book).write(1, 0, 100, 1, history.Persisted).write(2, 0, 100, 2, history.Persisted).
				read(3, 1, 100, saw("x", 1, 1), saw("y", 0, 0)).read(4, 1, 100, saw("z", 1, 1), saw("w", 0, 0)).
				read(5, 1, 100, saw("x", 1, 1), saw("z", 0, 0)).read(6, 1, 100, saw("z", 1, 1), saw("x", 0, 0)).
				effect("x", 1, 1, 1).effect("y", 1, 1, 1).effect("z", 1, 2, 1).effect("w", 1, 2, 1),
			"G-single 2",
		},
	} {
		if got := names(test.of); got != test.want {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
	}
}

// TestCyclesWithOperationsComeFirst: what is missing at the end of a balance has no operation to show. One that has is told instead.
func TestCyclesWithOperationsComeFirst(t *testing.T) {
	for _, order := range [][]string{{"x", "y"}, {"y", "x"}} { // each may be looked at first
		h := new(book).effect("x", 1, 1, 1).effect("y", 2, 2, 2)
		h.Balances = map[string]history.Balance{order[0]: {Moves: 2}}
		found := history.Check(&h.History)
		if len(found) != 1 || len(found[0].Cycle) != 1 {
			t.Errorf("%s first: found %+v, want one with an operation", order[0], found)
		}
	}
}

// TestUnknownClientsAreNamedByTheirChange: the report tells which change it was, although no client of the history sent it.
func TestUnknownClientsAreNamedByTheirChange(t *testing.T) {
	found := history.Check(&new(book).effect("x", 2, 7, 2).History)
	if want := "a change " + id(7).String() + ", by an unknown client"; len(found) != 1 || !strings.Contains(found[0].Text, want) {
		t.Errorf("found %+v, want the text %q", found, want)
	}
}
