package textsearch_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"holdfast/commerce/textsearch"
)

func TestFold(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"Cyrillic":               {"Лампа ЁЛКА", "лампа елка"},
		"French":                 {"ÉCLAIR", "eclair"},
		"decomposed":             {"e\u0301clair", "eclair"},
		"German":                 {"STRASSE Straße STRAẞE", "strasse strasse strasse"},
		"Turkish":                {"IŞIK ışık İstanbul", "isik isik istanbul"},
		"Greek":                  {"ΌΔΟΣ όδος οδοσ", "οδοσ οδοσ οδοσ"},
		"Polish":                 {"ŁÓDŹ", "lodz"},
		"Danish":                 {"Ærø", "aero"},
		"Vietnamese":             {"Điện thoại", "dien thoai"},
		"full width":             {"ＬＡＭＰ１２", "lamp12"},
		"half width":             {"ｶﾞﾗｽ", "ガラス"},
		"ligature":               {"ﬁne", "fine"},
		"dakuten":                {"カ\u3099 か\u3099 か", "ガ が か"},
		"Hangul":                 {"\u1112\u1161\u11ab국", "한국"},
		"Devanagari":             {"हिन्दी", "हिन्दी"},
		"Thai":                   {"น้ำ", "น้\u0e4dา"}, // in the form of compatibility
		"Hebrew":                 {"שָׁלוֹם", "שלום"},
		"Arabic":                 {"مَرْحَبًا أ", "مرحبا ا"},
		"Arabic made longer":     {"مـــرحبا", "مرحبا"},
		"Cherokee":               {"Ꭰꭰ", "ᎠᎠ"},
		"Georgian":               {"ᲚᲐᲛᲞᲐ", "ლამპა"},
		"skin tone":              {"👍🏽", "👍"},
		"emoji presentation":     {"❤\ufe0f", "❤"},
		"invisible":              {"so\u00adft\u200d \u200fx", "soft x"},
		"end of a word in Khmer": {"ក\u200bខ", "ក ខ"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := textsearch.Fold(test.text); got != test.want {
				t.Errorf("%q becomes %q (%+q), want %q (%+q)", test.text, got, got, test.want, test.want)
			}
		})
	}
}

// In no script does case count, and folding a second time changes nothing.
func TestFoldOfEveryLetter(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		folded := textsearch.Fold(string(r))
		for _, other := range []rune{unicode.ToUpper(r), unicode.ToLower(r), unicode.ToTitle(r), unicode.SimpleFold(r)} {
			if got := textsearch.Fold(string(other)); got != folded {
				t.Errorf("%q (%U) becomes %q, %q (%U) becomes %q", r, r, folded, other, other, got)
			}
		}
		if again := textsearch.Fold(folded); again != folded {
			t.Errorf("%q (%U) becomes %q, and that %q", r, r, folded, again)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Desk lamp":       "desk lamp",
		"lamp LAMP, lamp": "lamp",
		"USB-C hub":       "c hub usb usbc",
		"KB-75\nMouse":    "75 kb kb75 mouse",
		"l'eau de Levi’s": "de eau l leau levi levis s",
		"U.S.A. 3.14":     "14 3 314 a s u usa",
		"snake_case/path": "case path snake snakecasepath",
		"- a -- b -":      "a b",
		"C++":             "+ c",
		"100 % wool":      "100 wool",
		"$5":              "$ 5",
		"🦀 crab🎁":         "crab 🎁 🦀",
		"👩‍🚀":             "👩 🚀",
		"🇩🇪🇫🇷":            "🇩🇪 🇫🇷",
		"键盘":              "盘 键",
		"ガラス":             "ガラス",
		"हिन्दी":          "हिन्दी",
		"500ml":           "500ml",
		"½":               "1 12 2",
		"":                "",
		" \t%_\\!?\x00":   "",
	} {
		if got := strings.Join(textsearch.Words(text), " "); got != want {
			t.Errorf("%q has the words %q, want %q", text, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	for query, want := range map[string]string{
		"Lamp desk":     "desk lamp",
		"l la lamp lam": "lamp",
		"USB-C":         "c usb",
		"% _ \\ ' \"":   "",
		"a% b_c":        "a b c",
	} {
		if got := strings.Join(textsearch.Query(query), " "); got != want {
			t.Errorf("%q asks for %q, want %q", query, got, want)
		}
	}
}

// Any text finds itself: each word of the query begins a word of the text. And no word breaks the rules that storing it relies on.
func TestEveryTextFindsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		words := textsearch.Words(text)
		for _, asked := range textsearch.Query(text) {
			if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, asked) }) {
				t.Errorf("%q asks for %q and has %q", text, asked, words)
			}
		}
		for _, word := range words {
			if n := utf8.RuneCountInString(word); n == 0 || n > textsearch.MaxWord || strings.ContainsAny(word, " \n\x00") || !utf8.ValidString(word) {
				t.Errorf("%q has the word %q", text, word)
			}
		}
		if folded := textsearch.Fold(text); textsearch.Fold(folded) != folded {
			t.Errorf("%q becomes %q, and that %q", text, folded, textsearch.Fold(folded))
		}
	})
}
