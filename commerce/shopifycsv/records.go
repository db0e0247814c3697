package shopifycsv

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decodeFile returns the text of a file, with "\n" at the end of each line. A byte order mark tells UTF-8 and UTF-16. Without
// one, the text is in the named encoding; "" means UTF-8. What is not UTF-8 then is left as it is: the line that holds it says so.
func decodeFile(raw []byte, name string) (string, error) {
	var decoder transform.Transformer = transform.Nop
	switch {
	case name != "" && !strings.EqualFold(name, "utf-8") && !strings.EqualFold(name, "utf8"):
		named, err := htmlindex.Get(name)
		if err != nil {
			return "", fmt.Errorf("%q is no encoding that is known here: try windows-1252, utf-16le or shift_jis", name)
		}
		decoder = named.NewDecoder()
	case len(raw) >= 4 && raw[0] != 0 && raw[1] == 0 && raw[2] != 0 && raw[3] == 0: // as text in Latin letters begins in UTF-16
		decoder = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(decoder), raw)
	if err != nil {
		return "", fmt.Errorf("decode the file: %w", err)
	}
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text))
	return blanksBehindQuotes.ReplaceAllString(lines, `"$1`), nil
}

// blanksBehindQuotes are those between a closing quote and the end of its cell, as of editors that align columns: package csv does
// not take them. Behind another quote, they are part of a text, which can do without.
var blanksBehindQuotes = regexp.MustCompile(`" +([,;\t\n])`)

// delimiters are those of Shopify, of European spreadsheets, and of text that was copied from a spreadsheet.
var delimiters = []rune{',', ';', '\t'}

// recordReader reads the records of a CSV file one by one. A record that cannot be read costs its first line: the next one is read
// from the line behind that.
type recordReader struct {
	text  string
	comma rune
	width int // fields of the header, 0 before it is read
	// The rest of the text begins at a byte, behind so many lines. csv reads the rest.
	begin, lines int
	csv          *csv.Reader
}

func newRecordReader(text string, comma rune) *recordReader {
	r := &recordReader{text: text, comma: comma}
	r.skip(0)
	return r
}

func (r *recordReader) reader(text string) *csv.Reader {
	file := csv.NewReader(strings.NewReader(text))
	file.Comma, file.FieldsPerRecord = r.comma, -1
	file.TrimLeadingSpace = r.comma != '\t' // or empty fields between tabs would be trimmed
	return file
}

// skip begins anew behind so many bytes of the rest.
func (r *recordReader) skip(bytes int) {
	r.lines += strings.Count(r.text[r.begin:r.begin+bytes], "\n")
	r.begin += bytes
	r.csv = r.reader(r.text[r.begin:])
}

// next returns the next record and its first line. The error is io.EOF at the end, or tells why the line is no record.
func (r *recordReader) next() (fields []string, line int, err error) {
	before := int(r.csv.InputOffset())
	fields, err = r.csv.Read()
	var problem *csv.ParseError
	if !errors.As(err, &problem) {
		if err == nil {
			line, _ = r.csv.FieldPos(0)
		}
		return fields, r.lines + line, err
	}
	for before < len(r.text)-r.begin && r.text[r.begin+before] == '\n' { // blank lines
		before++
	}
	r.skip(before)
	line = r.lines + 1
	if fields, size := r.lenient(); fields != nil {
		r.skip(size)
		return fields, line, nil
	}
	end := strings.IndexByte(r.text[r.begin:], '\n') + 1
	if end == 0 {
		end = len(r.text) - r.begin
	}
	r.skip(end)
	return nil, line, problem.Err
}

// lenient reads a record with quotes in it that are not doubled. It is one if it has as many fields as the header, and each quote
// is closed: otherwise, an open quote would swallow the lines behind it.
func (r *recordReader) lenient() (fields []string, size int) {
	file := r.reader(r.text[r.begin:])
	file.LazyQuotes = true
	fields, err := file.Read()
	size = int(file.InputOffset())
	if err != nil || len(fields) != r.width || strings.Count(r.text[r.begin:r.begin+size], `"`)%2 != 0 {
		return nil, 0
	}
	return fields, size
}

// headerOf finds the header and the delimiter: the one under which most columns are known. The header is nil if the file is empty.
func headerOf(text string, known func(column string) bool) (_ *recordReader, header []string, line int) {
	if first, rest, _ := strings.Cut(text, "\n"); strings.HasPrefix(strings.ToLower(first), "sep=") { // a note for Excel
		text = "\n" + rest
	}
	most := -1
	var best *recordReader
	for _, comma := range delimiters {
		r := newRecordReader(text, comma)
		fields, at, err := r.next()
		if err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		n := 0
		for _, field := range fields {
			if known(field) {
				n++
			}
		}
		if n > most {
			most, best, header, line = n, r, fields, at
		}
	}
	if best != nil {
		best.width = len(header)
	}
	return best, header, line
}
