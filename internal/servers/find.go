package servers

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotInstalled is wrapped by the error of [Start] if the program is missing.
var ErrNotInstalled = errors.New("not found on PATH")

// Have says whether the programs of this kind of server are installed.
func Have(kind Kind) bool { return Missing(kind) == nil }

// DebianPackage returns the name of the Debian package that holds this kind of server.
func DebianPackage(kind Kind) string {
	if p, ok := programs[kind]; ok {
		return p.debian
	}
	return ""
}

// Missing says what is not installed of a kind of server, and how to install it; nil where nothing is missing.
func Missing(kind Kind) error {
	p, ok := programs[kind]
	if !ok {
		return fmt.Errorf("unknown kind of server %q", kind)
	}
	_, err := p.find()
	return err
}

// find returns the paths of the program's files by name.
func (p *program) find() (map[string]string, error) {
	if !canRun {
		return nil, fmt.Errorf("%s: servers are started on Unix only: %w", p.files[0], errors.ErrUnsupported)
	}
	paths := make(map[string]string, len(p.files))
	for _, name := range p.files {
		path, ok := lookup(name, p.places)
		if !ok {
			return nil, fmt.Errorf("%s %w: install it (Debian: apt-get install %s)", name, ErrNotInstalled, p.debian)
		}
		paths[name] = path
	}
	return paths, nil
}

// lookup searches PATH, then the places, in each of them the newest version first.
func lookup(name string, places []string) (path string, ok bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, place := range places {
		paths, err := filepath.Glob(filepath.Join(place, name))
		if err != nil {
			continue // The pattern is malformed; the next may not be.
		}
		slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(versionIn(b), versionIn(a)) })
		for _, path := range paths {
			if path, err := exec.LookPath(path); err == nil { // It checks the permission to execute.
				return path, true
			}
		}
	}
	return "", false
}

// versionIn returns the number in a path like /usr/lib/postgresql/15/bin/initdb or /usr/pgsql-15/bin/initdb, or 0.
// Compared as text, 9.6 would be newer than 15.
func versionIn(path string) float64 {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/-@", r) }) {
		if version, err := strconv.ParseFloat(part, 64); err == nil {
			return version
		}
	}
	return 0
}

// owner is the user that a server runs as.
type owner struct{ uid, gid uint32 }

// ownerOf returns the first of the users that exists.
func ownerOf(names []string) (*owner, error) {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &owner{uint32(uid), uint32(gid)}, nil
	}
	return nil, fmt.Errorf("it does not run as root, and none of the users %s exists", strings.Join(names, ", "))
}
