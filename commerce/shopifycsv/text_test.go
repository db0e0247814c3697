package shopifycsv

import (
	"strings"
	"testing"

	"holdfast/ent/schema"
)

func TestPlainText(t *testing.T) {
	for source, want := range map[string]string{
		"":                               "",
		"plain":                          "plain",
		"<p>Cool &amp; light.</p>":       "Cool & light.",
		"<ul><li>One<li>Two</ul>":        "One Two",
		"Line<br>break<br/>":             "Line break",
		"1&nbsp;kg&#10;&eacute;té":       "1 kg été",
		"&lt;b&gt; is no tag":            "<b> is no tag",
		"&amp;lt; twice":                 "&lt; twice",
		"5 < 7 and 9 > 8":                "5 < 7 and 9 > 8",
		"I <3 it":                        "I <3 it",
		"a<!-- <p> > -- -->b":            "ab",
		"a<!-- never closed <p>b":        "a",
		"a<!DOCTYPE html>b":              "ab",
		"a<![CDATA[b>c]]>d":              "ac]]>d", // as browsers do
		`<img alt="2 > 1">seen`:          "seen",
		`<a title='</a> > "'>x</a>`:      "x",
		`<p data-x="<script>">shown</p>`: "shown",
		"a<script>if (1 > 2) { document.write('<b>') }</script>b": "a b",
		"a<script>x</style>y</script>b":                           "a b",
		"a<SCRIPT type=module>x</SCRIPT >b":                       "a b",
		"a<script>never closed":                                   "a",
		"a<style>p > b::after{content:'<'}</style>b":              "a b",
		"<scripture>read</scripture>":                             "read",
		"</script>end":                                            "end",
		"a<template>b<p>c</p><script>d</script>e</template>f":     "a f",
		"a<iframe src=x><p>old</p></iframe>b":                     "a b",
		"<title>Shop</title><textarea>&lt;x&gt;</textarea>":       "<x>",
		"cut <p":                      "cut",
		strings.Repeat("<p>ä</p>", 3): "ä ä ä",
	} {
		if got := plainText(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
	text, cut := shortened(strings.Repeat("ä", schema.MaxDescription+1), schema.MaxDescription)
	if text != strings.Repeat("ä", schema.MaxDescription-1)+"…" || !cut {
		t.Errorf("%d bytes", len(text))
	}
	if text, cut := shortened(strings.Repeat("ä", schema.MaxDescription), schema.MaxDescription); len(text) != 2*schema.MaxDescription || cut {
		t.Errorf("%d bytes of a text that fits", len(text))
	}
}
