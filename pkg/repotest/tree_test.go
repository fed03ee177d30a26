// Package repotest holds the repository to its own rules: who may import what,
// one comment per package, access declared on every method, no hidden clocks
// and servers. It takes the source of all modules and gives test failures that
// say why a rule exists.
package repotest

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the repository, seen from this package.
const root = "../.."

// modules are where the source of the system is.
var modules = []string{"proto", "pkg", "services"}

// pkg is one directory of source.
type pkg struct {
	path  string
	files []*file
}

type file struct {
	name      string // from the repository's root
	test      bool
	generated bool
	ast       *ast.File
	imports   []string
}

var fset = token.NewFileSet()

// tree parses all source once.
var tree = sync.OnceValues(func() ([]*pkg, error) {
	found := map[string]*pkg{}
	for _, m := range modules {
		err := filepath.WalkDir(filepath.Join(root, m), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(name, ".go"):
				return nil
			}
			f, err := parse(name)
			if err != nil {
				return err
			}
			dir, err := importPath(filepath.Dir(name))
			if err != nil {
				return err
			}
			if found[dir] == nil {
				found[dir] = &pkg{path: dir}
			}
			found[dir].files = append(found[dir].files, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var all []*pkg
	for _, p := range found {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return all, nil
})

func parse(name string) (*file, error) {
	parsed, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	short, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	f := &file{
		name: filepath.ToSlash(short), test: strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(parsed), ast: parsed,
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// importPath finds the module that dir is in; there are modules in modules.
func importPath(dir string) (string, error) {
	var below []string
	for at := dir; ; at = filepath.Dir(at) {
		mod, err := os.Open(filepath.Join(at, "go.mod"))
		if os.IsNotExist(err) {
			below = append([]string{filepath.Base(at)}, below...)
			continue
		}
		if err != nil {
			return "", err
		}
		defer func() { _ = mod.Close() }()
		lines := bufio.NewScanner(mod)
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
				return path.Join(append([]string{strings.TrimSpace(name)}, below...)...), nil
			}
		}
		return "", lines.Err()
	}
}

func packages(t *testing.T) []*pkg {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d packages found: is %s the repository?", len(all), root)
	}
	return all
}

// local returns the name by which the file calls an imported package.
func (f *file) local(imported string) string {
	for _, spec := range f.ast.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == imported {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(imported)
		}
	}
	return ""
}
