package lockprovider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/lockprovider"
)

// The suites that prove locks. The function Run of each takes what opens a lock.
const (
	lockSuite  = "lock/locktest"        // for every lock
	redisSuite = "lock/peers/redistest" // for every lock in Redis besides
)

// TestEveryLockIsProven finds the functions that make a lock, in this directory and below. A test must hand each of them to the
// suites, unless the function returns the lock of another one. So a new lock cannot be forgotten.
func TestEveryLockIsProven(t *testing.T) {
	t.Parallel()
	tree := parseSources(t)
	for _, missing := range tree.unproven() {
		t.Error("no test hands " + missing)
	}
	var makers []string
	for _, f := range tree.lockMakers() {
		makers = append(makers, f.key)
	}
	for _, want := range []string{"lock.NewSetNX", "lock.NewMariaDB", "().Locker", "lock/peers/etcdlock.New", "..openPubSub"} {
		if !slices.Contains(makers, want) {
			t.Errorf("%s is not among the functions that make a lock: %v", want, makers)
		}
	}
}

// TestAForgottenLockIsFound adds a lock to the sources that no test knows.
func TestAForgottenLockIsFound(t *testing.T) {
	t.Parallel()
	for name, forgotten := range map[string]struct {
		file, code string
		want       []string
	}{
		"a constructor": {
			"lock/new.go",
			`package lock; import "github.com/redis/go-redis/v9"; func NewNew(redis.UniversalClient) Locker { return nil }`,
			[]string{"lock.NewNew to lock/locktest.Run", "lock.NewNew to lock/peers/redistest.Run"},
		},
		"a constructor that returns a type of its own": {
			"lock/peers/newlock/newlock.go", `package newlock
				import ("context"; "MODULE/lock")
				type Mutex struct{}
				func (*Mutex) Lock(ctx context.Context, keys []string) (context.Context, lock.Lease, error) { return ctx, nil, nil }
				func New() *Mutex { return nil }`,
			[]string{"lock/peers/newlock.New to lock/locktest.Run"},
		},
		"a strategy with a lock of its own": {
			"new.go", `package lockprovider; import "MODULE/lock"; var openNew = func(Deps) lock.Locker { return newLocker{} }`,
			[]string{"..func to lock/locktest.Run"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := parseSources(t)
			tree.add(t, forgotten.file, strings.ReplaceAll(forgotten.code, "MODULE", tree.path))
			if got := tree.unproven(); !slices.Equal(got, forgotten.want) {
				t.Errorf("found %q, want %q", got, forgotten.want)
			}
		})
	}
}

// sources are the Go files in this directory, which is ".", and below.
type sources struct {
	path      string // the import path of this directory
	functions []function
	lockers   []string // types with a method Lock like that of lock.Locker, by key
}

// function is a function with a body. Its key is its directory, a dot, and its name. That of a method is "()." and its name:
// syntax does not tell the type that a method is called on.
type function struct {
	key, dir string
	file     *ast.File
	isTest   bool
	signs    *ast.FuncType
	body     *ast.BlockStmt
}

func parseSources(t *testing.T) *sources {
	t.Helper()
	s := &sources{path: reflect.TypeFor[lockprovider.Providers]().PkgPath()}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".go") {
			s.add(t, filepath.ToSlash(name), nil)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add parses a file: its content if there is code, and else the file of that name.
func (s *sources) add(t *testing.T, name string, code any) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := function{dir: path.Dir(name), file: file, isTest: strings.HasSuffix(name, "_test.go")}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.key, f.signs, f.body = f.dir+"."+n.Name.Name, n.Type, n.Body
			if n.Recv != nil {
				f.key = "()." + n.Name.Name
				if n.Name.Name == "Lock" && slices.Contains(f.types(s.path, n.Type.Results), "lock.Lease") {
					s.lockers = append(s.lockers, f.types(s.path, n.Recv)...)
				}
			}
		case *ast.FuncLit: // outside of functions
			f.key, f.signs, f.body = f.dir+".func", n.Type, n.Body
		default:
			return true
		}
		if f.body != nil {
			s.functions = append(s.functions, f)
		}
		return false
	})
}

// types are the keys of the types in a list of parameters or results.
func (f function) types(module string, list *ast.FieldList) []string {
	var keys []string
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		expr := field.Type
		if star, ok := expr.(*ast.StarExpr); ok {
			expr = star.X
		}
		switch expr := expr.(type) {
		case *ast.Ident:
			keys = append(keys, f.dir+"."+expr.Name)
		case *ast.SelectorExpr:
			if pkg, ok := expr.X.(*ast.Ident); ok {
				keys = append(keys, f.imports(module)[pkg.Name]+"."+expr.Sel.Name)
			}
		}
	}
	return keys
}

// imports are the directories, or import paths, of the packages that the file imports, by name.
func (f function) imports(module string) map[string]string {
	dirs := map[string]string{}
	for _, spec := range f.file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if imported == module {
			imported = "."
		}
		dirs[name] = strings.TrimPrefix(imported, module+"/")
	}
	return dirs
}

// calls are the keys of the functions that a part of f calls.
func (f function) calls(module string, part ast.Node) []string {
	var keys []string
	ast.Inspect(part, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			keys = append(keys, f.callee(module, call))
		}
		return true
	})
	return keys
}

func (f function) callee(module string, call *ast.CallExpr) (key string) {
	switch called := call.Fun.(type) {
	case *ast.Ident:
		return f.dir + "." + called.Name
	case *ast.SelectorExpr:
		pkg, _ := called.X.(*ast.Ident)
		if pkg != nil && f.imports(module)[pkg.Name] != "" {
			return f.imports(module)[pkg.Name] + "." + called.Sel.Name
		}
		return "()." + called.Sel.Name
	}
	return ""
}

// shared are the functions that make a lock which several may hold: the suites prove that one holds it.
var shared = []string{"().RLocker"}

// lockMakers are the functions that return a lock which they were not given, but for those of programs and of the suites, and
// those that a package beneath this one keeps to itself.
func (s *sources) lockMakers() []function {
	var makers []function
	for _, f := range s.functions {
		suite := slices.Contains([]string{lockSuite, redisSuite, "providertest"}, f.dir)
		isLock := func(key string) bool { return key == "lock.Locker" || slices.Contains(s.lockers, key) }
		exported := ast.IsExported(f.key[strings.LastIndexByte(f.key, '.')+1:]) && !slices.Contains(shared, f.key)
		if !f.isTest && !suite && f.file.Name.Name != "main" && (exported || f.dir == ".") &&
			slices.ContainsFunc(f.types(s.path, f.signs.Results), isLock) && !slices.ContainsFunc(f.types(s.path, f.signs.Params), isLock) {
			makers = append(makers, f)
		}
	}
	return makers
}

// unproven says which functions that make a lock no test hands to which suite.
func (s *sources) unproven() []string {
	makers := s.lockMakers()
	proven := map[string][]string{lockSuite: s.handedTo(lockSuite), redisSuite: s.handedTo(redisSuite)}
	var missing []string
	for _, f := range makers {
		handsOn := slices.ContainsFunc(f.calls(s.path, f.body), func(key string) bool {
			return slices.ContainsFunc(makers, func(other function) bool { return other.key == key && other.key != f.key })
		})
		if handsOn {
			continue
		}
		suites := []string{lockSuite}
		if s.usesRedis(f) {
			suites = append(suites, redisSuite)
		}
		for _, suite := range suites {
			if !slices.Contains(proven[suite], f.key) {
				missing = append(missing, f.key+" to "+suite+".Run")
			}
		}
	}
	return missing
}

// usesRedis says whether the file of a function imports a Redis client; for a method, any file of its package.
func (s *sources) usesRedis(f function) bool {
	for _, other := range s.functions {
		if other.file == f.file || other.dir == f.dir && strings.HasPrefix(f.key, "().") && !other.isTest {
			for _, imported := range other.imports(s.path) {
				if strings.HasPrefix(imported, "github.com/redis/") {
					return true
				}
			}
		}
	}
	return false
}

// handedTo are the keys of what tests call in the arguments of the suite's Run, or of a function of theirs that calls it.
func (s *sources) handedTo(suite string) []string {
	var keys []string
	for _, f := range s.functions {
		if !f.isTest {
			continue
		}
		ast.Inspect(f.body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains(s.reachable([]string{f.callee(s.path, call)}), suite+".Run") {
				return true
			}
			for _, argument := range call.Args {
				keys = append(keys, s.reachable(f.calls(s.path, argument))...)
			}
			return true
		})
	}
	return keys
}

// reachable are the functions with these keys, and all that are called by those of them that are in a test.
func (s *sources) reachable(keys []string) []string {
	for i := 0; i < len(keys); i++ {
		for _, f := range s.functions {
			if f.isTest && f.key == keys[i] {
				for _, key := range f.calls(s.path, f.body) {
					if !slices.Contains(keys, key) {
						keys = append(keys, key)
					}
				}
			}
		}
	}
	return keys
}
