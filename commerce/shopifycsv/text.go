package shopifycsv

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"holdfast/commerce"
)

// shortened cuts a text that has more characters than it may have, and tells whether it did.
func shortened(text string, atMost int) (string, bool) {
	if utf8.RuneCountInString(text) <= atMost {
		return text, false
	}
	return commerce.Truncate(text, atMost-1) + "…", true
}

// unseen are the elements whose text browsers do not show.
var unseen = map[atom.Atom]bool{
	atom.Iframe: true, atom.Noembed: true, atom.Noframes: true, atom.Script: true, atom.Style: true, atom.Template: true,
	atom.Title: true,
}

// plainText is what a reader sees of HTML, on one line. Every tag parts words.
func plainText(source string) string {
	var text strings.Builder
	var hiding []atom.Atom // the unseen elements that are open
	tokens := html.NewTokenizer(strings.NewReader(source))
	for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() { // io.EOF: a string has no other errors
		switch kind {
		case html.TextToken:
			if len(hiding) == 0 {
				text.Write(tokens.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken: // only SVG and MathML have tags that close themselves
			if name := tagOf(tokens); unseen[name] {
				hiding = append(hiding, name)
			}
			text.WriteByte(' ')
		case html.EndTagToken:
			if last := len(hiding) - 1; last >= 0 && hiding[last] == tagOf(tokens) {
				hiding = hiding[:last]
			}
			text.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

func tagOf(tokens *html.Tokenizer) atom.Atom {
	name, _ := tokens.TagName()
	return atom.Lookup(name)
}
