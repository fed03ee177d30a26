package repotest

import (
	"go/ast"
	"regexp"
	"slices"
	"testing"
)

// use is something of a package that is used in one place only.
type use struct {
	pkg, names string
	// in and except are patterns on import paths; tests are never bound.
	in, except string
	why        string
}

var uses = []use{
	{pkg: "google.golang.org/grpc", names: `^(NewServer|NewClient|Dial|DialContext)$`, except: `^quittance/pkg/rpc$`,
		why: "there is one gRPC server and one client, rpc.NewServer and rpc.Dial: they check access and map errors"},
	{pkg: "net/http", names: `^(Server|ListenAndServe|ListenAndServeTLS|Serve|Handle|HandleFunc|DefaultServeMux)$`, except: `^quittance/pkg/web$`,
		why: "there is one HTTP server, web.NewServer: it has limits, headers and a log that shows no tokens"},
	{pkg: "time", names: `^(Now|Since|Until|After|Tick|NewTimer|NewTicker|AfterFunc|Sleep)$`, in: aggregates,
		why: "the domain has no clock: now is an argument"},
	{pkg: "os", names: `^(Getenv|LookupEnv|Environ)$`, except: `^quittance/pkg/(config|telemetry)$|` + harnesses,
		why: "settings are read by config.Load, in main"},
	{pkg: "os/signal", names: `.`, except: `^quittance/pkg/app$`, why: "signals are app.Main's"},
}

func TestUses(t *testing.T) {
	for _, u := range uses {
		in, except, names := compile(u.in), compile(u.except), regexp.MustCompile(u.names)
		for _, p := range packages(t) {
			if (in != nil && !in.MatchString(p.path)) || (except != nil && except.MatchString(p.path)) {
				continue
			}
			for _, f := range p.files {
				local := f.local(u.pkg)
				if f.test || f.generated || local == "" {
					continue
				}
				f.selectors(local, func(s *ast.SelectorExpr) {
					if names.MatchString(s.Sel.Name) {
						t.Errorf("%s uses %s.%s: %s", fset.Position(s.Pos()), u.pkg, s.Sel.Name, u.why)
					}
				})
			}
		}
	}
}

// Under testing/synctest a sleep takes no time; anywhere else it makes a test
// slow on a good day and flaky on a bad one.
func TestTestsDoNotSleep(t *testing.T) {
	for _, p := range packages(t) {
		synctest := slices.ContainsFunc(p.files, func(f *file) bool { return slices.Contains(f.imports, "testing/synctest") })
		for _, f := range p.files {
			local := f.local("time")
			if !f.test || local == "" || synctest {
				continue
			}
			f.selectors(local, func(s *ast.SelectorExpr) {
				if s.Sel.Name == "Sleep" {
					t.Errorf("%s sleeps: wait for the fact with testkit.Eventually, or use testing/synctest", fset.Position(s.Pos()))
				}
			})
		}
	}
}

func TestMainsAreShort(t *testing.T) {
	const most = 40
	for _, p := range packages(t) {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || f.ast.Name.Name != "main" || fn.Name.Name != "main" {
					continue
				}
				if lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; lines > most {
					t.Errorf("%s: main has %d lines, at most %d: config, telemetry, dependencies, service, run", f.name, lines, most)
				}
			}
		}
	}
}

// selectors visits every local.Name in the file.
func (f *file) selectors(local string, visit func(*ast.SelectorExpr)) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				visit(s)
			}
		}
		return true
	})
}
