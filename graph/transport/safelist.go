package transport

import (
	"context"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"holdfast/auth"
)

// The modes of [SafelistSettings].
const (
	safelistOff  = "off"
	safelistOnly = "only"
)

// SafelistSettings are which operations clients may send.
type SafelistSettings struct {
	// Mode says what the manifest is for. off: nothing, and it is not read. prefer: clients may name its operations by their
	// identifiers, and send any other document as well. only: these and those of the program's own pages are served, and everything
	// else is refused before it is parsed, introspection included.
	Mode string `key:"mode" default:"off" oneof:"off prefer only"`
	// Manifest is the files with the operations, separated by commas: persisted query manifests of Apollo, or persisted queries of
	// Relay. They are read at the start. An operation that the served schema does not admit is an error.
	Manifest string `key:"manifest"`
	// ExemptAdmin lets administrators send any document all the same.
	ExemptAdmin bool `key:"exemptAdmin"`
}

// Files returns the files of the manifest.
func (s SafelistSettings) Files() []string {
	var files []string
	for file := range strings.SplitSeq(s.Manifest, ",") {
		if file = strings.TrimSpace(file); file != "" {
			files = append(files, file)
		}
	}
	return files
}

// On reports whether there is a safelist.
func (s SafelistSettings) On() bool { return s.Mode != "" && s.Mode != safelistOff }

// Only reports whether nothing but the safelist is served.
func (s SafelistSettings) Only() bool { return s.Mode == safelistOnly }

// safelist decides which operations are served. A nil one admits all.
type safelist struct {
	*manifest
	only, exemptAdmin bool
}

// newSafelist returns a safelist, or nil if there is none. It returns an error that names each wrong operation of the manifest.
func newSafelist(s SafelistSettings, own map[string][]byte, schema *ast.Schema, maxTokens int) (*safelist, error) {
	if !s.On() {
		return nil, nil
	}
	m, err := readManifest(s.Files(), own, schema, maxTokens)
	if err != nil {
		return nil, fmt.Errorf("safelist.manifest: %w", err)
	}
	return &safelist{manifest: m, only: s.Only(), exemptAdmin: s.ExemptAdmin}, nil
}

// lookup returns the document of an identifier.
func (s *safelist) lookup(id documentID) (string, bool) {
	if s == nil {
		return "", false
	}
	return s.find(id)
}

// forbids reports whether the caller may not send a document that is not in the manifest.
func (s *safelist) forbids(ctx context.Context) bool {
	return s != nil && s.only && (!s.exemptAdmin || !auth.Viewer(ctx).Admin)
}
