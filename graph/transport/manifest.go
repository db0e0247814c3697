package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// manifest is the operations that the clients of a shop send: documents by their identifiers, and by the SHA-256 of their text.
type manifest struct {
	byID, byHash map[string]string
	places       map[string]string // where an identifier stands, for messages
}

// apolloFormat is the format of the manifests that @apollo/generate-persisted-query-manifest, Apollo Kotlin, Apollo iOS and Rover write.
const apolloFormat = "apollo-persisted-query-manifest"

// listed is one operation of a file.
type listed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Body string `json:"body"`
}

// maxManifestErrors bounds the errors of a manifest that are told at once.
const maxManifestErrors = 20

// readManifest reads files of Apollo's or Relay's format, and texts of them by their names. It returns all that is wrong with them: each
// operation must be one that the schema and the bound on tokens admit.
func readManifest(files []string, texts map[string][]byte, schema *ast.Schema, maxTokens int) (*manifest, error) {
	m := &manifest{byID: map[string]string{}, byHash: map[string]string{}, places: map[string]string{}}
	var errs []error
	for _, file := range slices.Concat(files, slices.Sorted(maps.Keys(texts))) {
		text, err := texts[file], error(nil)
		if text == nil {
			text, err = os.ReadFile(file)
		}
		var operations []listed
		if err == nil {
			operations, err = readOperations(text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		if len(operations) == 0 {
			errs = append(errs, fmt.Errorf("%s: it has no operations", file))
		}
		for i, operation := range operations {
			place := fmt.Sprintf("%s: operation %d, %q", file, i+1, operation.ID)
			if operation.Name != "" {
				place += " (" + operation.Name + ")"
			}
			if err := m.add(place, operation, schema, maxTokens); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", place, err))
			}
		}
	}
	if more := len(errs) - maxManifestErrors; more > 0 {
		errs = append(errs[:maxManifestErrors], fmt.Errorf("and %d errors more", more))
	}
	return m, errors.Join(errs...)
}

// readOperations reads the text of one file. Apollo's is {"format", "version", "operations": [{"id", "name", "type", "body"}]}, Relay's maps
// identifiers to documents.
func readOperations(text []byte) ([]listed, error) {
	var fields map[string]json.RawMessage
	if err := decode(bytes.NewReader(text), &fields); err != nil {
		return nil, fmt.Errorf("it is not a JSON object: %w", err)
	}
	if _, apollo := fields["format"]; apollo {
		return readApollo(text)
	}
	operations := make([]listed, 0, len(fields))
	for _, id := range slices.Sorted(maps.Keys(fields)) {
		var body *string
		if json.Unmarshal(fields[id], &body) != nil || body == nil {
			return nil, fmt.Errorf("%q must be the text of a document, as Relay writes it; Apollo's manifests have the field format", id)
		}
		operations = append(operations, listed{ID: id, Body: *body})
	}
	return operations, nil
}

func readApollo(text []byte) ([]listed, error) {
	var file struct {
		Format     string   `json:"format"`
		Version    int      `json:"version"`
		Operations []listed `json:"operations"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if file.Format != apolloFormat || file.Version != 1 {
		return nil, fmt.Errorf("the format is %q, version %d; want %q, version 1", file.Format, file.Version, apolloFormat)
	}
	return file.Operations, nil
}

// add checks and adds an operation.
func (m *manifest) add(place string, operation listed, schema *ast.Schema, maxTokens int) error {
	if operation.ID == "" {
		return errors.New("the id is missing")
	}
	if document, again := m.byID[operation.ID]; again && document != operation.Body {
		return fmt.Errorf("another document has this id, at %s", m.places[operation.ID])
	}
	document, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: operation.Body}, maxTokens)
	if err != nil {
		return err
	}
	if faults := validator.ValidateWithRules(schema, document, rules.NewDefaultRules()); len(faults) > 0 {
		return joined(faults)
	}
	if n := len(document.Operations); n != 1 { // of several, the manifest would name one, and a client could run the others
		return fmt.Errorf("the document has %d operations; a document of a manifest has one", n)
	}
	first := document.Operations[0]
	if operation.Name != "" && operation.Name != first.Name || operation.Type != "" && operation.Type != string(first.Operation) {
		return fmt.Errorf("the document is the %s %q, the manifest says %s %q", first.Operation, first.Name, operation.Type, operation.Name)
	}
	m.byID[operation.ID], m.places[operation.ID] = operation.Body, place
	m.byHash[hashOf(operation.Body)] = operation.Body
	return nil
}

// joined returns the errors of a document as one.
func joined(faults gqlerror.List) error {
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Message
		if len(fault.Locations) > 0 {
			texts[i] += fmt.Sprintf(" (line %d, column %d)", fault.Locations[0].Line, fault.Locations[0].Column)
		}
	}
	return errors.New(strings.Join(texts, "; "))
}

// find returns the document of an identifier. A nil manifest has none.
func (m *manifest) find(id documentID) (string, bool) {
	if m == nil || id == "" {
		return "", false
	}
	if document, ok := m.byID[string(id)]; ok {
		return document, true
	}
	document, ok := m.byHash[id.hash()]
	return document, ok
}

// has reports whether a text is, letter for letter, a document of the manifest.
func (m *manifest) has(document string) bool {
	if m == nil || document == "" {
		return false
	}
	_, ok := m.byHash[hashOf(document)]
	return ok
}

// documentID names a document: an identifier of a manifest, the SHA-256 of the text in hexadecimal digits, or that after "sha256:", as
// the appendix "Persisted Documents" of GraphQL over HTTP has it.
type documentID string

// hash returns the hexadecimal digits of the SHA-256 that an identifier is, or "" if it is another one.
func (id documentID) hash() string {
	digits := strings.TrimPrefix(string(id), "sha256:")
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		return ""
	}
	return digits
}

// hashOf returns the SHA-256 of a document, as hexadecimal digits.
func hashOf(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}
