// Package textsearch turns texts into the words by which they are found. It is the only place that decides which letters are
// alike and where a word begins: databases store its words and compare them byte by byte. So all databases find the same.
package textsearch

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxWord is the most characters of a word. What follows is not compared: SKUs that are alike so far are found together.
const MaxWord = 64

// Fold returns a text such that texts that differ only in what a search should not heed become the same text:
//
//   - case, by the full case folding of Unicode: ß and ẞ become ss, the Greek final sigma a sigma, the Turkish İ and ı an i;
//   - accents and other optional marks of Latin, Greek, Cyrillic, Hebrew and Arabic letters, and strokes of Latin letters;
//   - compatibility forms, such as full and half width, ligatures, superscripts;
//   - what cannot be seen, such as joiners and direction marks, and the skin tone of an emoji.
//
// In other scripts marks are letters, and stay: the vowel signs of Devanagari and Thai, the dakuten of Japanese. Hangul is composed
// into syllables. Fold returns a folded text as it is.
func Fold(text string) string {
	text = cases.Fold().String(norm.NFKD.String(text))
	var folded strings.Builder
	for _, r := range norm.NFKD.String(text) { // once more, because folding composes some letters
		if unicode.Is(unicode.Cherokee, r) {
			r = unicode.ToUpper(r) // package cases makes small letters of capital ones there, and capital ones of small ones
		}
		letters, isAlike := alike[r]
		switch {
		case r == zeroWidthSpace:
			folded.WriteByte(' ')
		case isIgnored(r):
		case isAlike:
			folded.WriteString(letters)
		default:
			folded.WriteRune(r)
		}
	}
	return norm.NFC.String(folded.String())
}

// zeroWidthSpace is where a word ends in a script that is written without spaces, such as Khmer.
const zeroWidthSpace = '\u200b'

// alike has the Latin letters that Unicode does not decompose, although people who lack the key type others.
var alike = map[rune]string{
	'ı': "i", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'ħ': "h", 'ŧ': "t", 'æ': "ae", 'œ': "oe", 'þ': "th",
}

// optional are the scripts whose marks are accents, or are often left out.
var optional = []*unicode.RangeTable{
	unicode.Inherited, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic,
}

func isIgnored(r rune) bool {
	const (
		dakuten, handakuten = '\u3099', '\u309a' // of no script of their own
		tatweel             = '\u0640'           // makes an Arabic word longer
		skinTone1, skinTone = '\U0001f3fb', '\U0001f3ff'
	)
	switch {
	case r == dakuten || r == handakuten:
		return false
	case r == tatweel || skinTone1 <= r && r <= skinTone:
		return true
	case unicode.Is(unicode.Mn, r):
		return unicode.In(r, optional...)
	}
	return unicode.In(r, unicode.Me, unicode.Cf)
}

// joiners are the characters that people leave out, or replace by a space, between two parts of a word. U+2044 is the slash of ½.
const joiners = "-'’.‐‑_/\u2044"

// Words returns the words of a text, folded, in the order of their bytes, each once. A text of n letters has less than 2n words.
//
// Letters, digits and their marks make words, by the rules of Unicode (UAX 29). Scripts that are written without spaces and need a
// dictionary, such as Chinese and Thai, have a word a character. A symbol is a word, such as an emoji, a flag or a plus.
// Parts with one of "-'./_" between them are words, and what they are together is another one: "USB-C" has usb, c and usbc.
func Words(text string) []string {
	var words []string
	split(text, func(word string) { words = append(words, word) }, func(compound string) { words = append(words, compound) })
	slices.Sort(words)
	return slices.Compact(words)
}

// Query returns the words that a text must have words beginning with, for a query to find it. A word that another one begins with
// is left out. A query of blanks and punctuation has no words.
func Query(query string) []string {
	var words []string
	split(query, func(word string) { words = append(words, word) }, func(string) {})
	slices.Sort(words)
	words = slices.Compact(words)
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		after, _ := slices.BinarySearch(words, word)
		return after+1 < len(words) && strings.HasPrefix(words[after+1], word)
	})
}

// split calls word for each word of a text, and compound for words of several parts.
func split(text string, word, compound func(string)) {
	var (
		parts  []string // that have nothing but joiners between them
		joined bool     // the last part is followed by a joiner, and by nothing else
	)
	end := func() {
		if len(parts) > 1 {
			compound(cut(strings.Join(parts, "")))
		}
		parts, joined = nil, false
	}
	state := -1
	for rest := Fold(text); rest != ""; {
		var segment string
		segment, rest, state = uniseg.FirstWordInString(rest, state)
		for segment != "" {
			kind := kindOf(segment)
			n := kind.prefix(segment)
			piece := segment[:n]
			segment = segment[n:]
			switch {
			case kind == letters:
				if !joined {
					end()
				}
				parts, joined = append(parts, piece), false
				word(cut(piece))
			case kind == joiner && len(parts) > 0 && !joined && utf8.RuneCountInString(piece) == 1:
				joined = true
			case kind == symbol:
				end()
				word(cut(piece))
			default:
				end()
			}
		}
	}
	end()
}

// kind is what a character is to a search.
type kind int

const (
	gap kind = iota
	letters
	symbol
	joiner
)

func kindOf(text string) kind {
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case size == 0:
		return gap
	case strings.ContainsRune(joiners, r):
		return joiner
	case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r):
		return letters
	case unicode.IsSymbol(r) && !unicode.Is(unicode.Sk, r) && r != unicode.ReplacementChar:
		return symbol
	}
	return gap
}

// prefix returns how many bytes at the beginning of a text are of the kind.
func (k kind) prefix(text string) int {
	for i := range text {
		if kindOf(text[i:]) != k {
			return i
		}
	}
	return len(text)
}

// cut cuts a word to MaxWord characters.
func cut(word string) string {
	n := 0
	for i := range word {
		if n == MaxWord {
			return word[:i]
		}
		n++
	}
	return word
}
