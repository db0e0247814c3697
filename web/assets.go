package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// contentTypes covers every kind of file under dist/assets. Go's own table depends on the machine that it runs on.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".ttf": "font/ttf",
}

type asset struct {
	file        string
	contentType string
	// gzipped compresses on first use and keeps the result.
	gzipped func() []byte
}

// Assets serves the scripts, styles and fonts of all pages; mount it at /assets/. File names carry a hash of their
// content, so that browsers keep them for ever.
func Assets() http.Handler {
	assets := map[string]asset{}
	err := fs.WalkDir(dist, "dist/assets", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contentType, ok := contentTypes[path.Ext(file)]
		if !ok {
			return fmt.Errorf("%s has no content type: add it to contentTypes", file)
		}
		assets["/"+strings.TrimPrefix(file, "dist/")] = asset{
			file:        file,
			contentType: contentType,
			gzipped:     sync.OnceValue(func() []byte { return compress(read(file)) }),
		}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("web: %v", err)) // What is embedded is fixed when the binary is built.
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if !readOnly(w, r) {
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Vary", "Accept-Encoding")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", contentSecurityPolicy) // A worker takes its policy from its own script.
		if acceptsGzip(r.Header) {
			body := a.gzipped()
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body) // A client that has gone is not our problem.
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(read(a.file)))
	})
}

func read(file string) []byte {
	content, err := dist.ReadFile(file)
	if err != nil {
		panic(fmt.Sprintf("web: %v", err)) // It was there when WalkDir passed.
	}
	return content
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // The level is valid,
	_, _ = z.Write(content)                               // and a Buffer takes every write.
	_ = z.Close()
	return b.Bytes()
}

func acceptsGzip(h http.Header) bool {
	for _, value := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, parameter, weighted := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(parameter), "q="), 64)
			return !weighted || err == nil && weight > 0
		}
	}
	return false
}

// readOnly answers every method but GET and HEAD itself, and then returns false.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	return false
}
