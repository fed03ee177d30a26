package repotest

import (
	"path"
	"strings"
	"testing"
)

func TestOneCommentPerPackage(t *testing.T) {
	for _, p := range packages(t) {
		var comments, elsewhere []string
		handwritten, testOnly := false, true
		for _, f := range p.files {
			testOnly = testOnly && f.test
			handwritten = handwritten || !f.generated
		}
		if !handwritten {
			continue
		}
		for _, f := range p.files {
			switch {
			case f.ast.Doc == nil, strings.HasSuffix(f.ast.Name.Name, "_test"):
				// What opens an external test is about the test.
			case f.test && !testOnly:
				elsewhere = append(elsewhere, f.name)
			default:
				comments = append(comments, f.name)
				checkComment(t, p, f)
			}
		}
		if len(comments) != 1 {
			t.Errorf("%s has %d package comments %v, must have one: what it owns, what it takes, what it gives", p.path, len(comments), comments)
		}
		for _, name := range elsewhere {
			t.Errorf("%s: the package comment belongs into the package, not into its tests; detach it with an empty line", name)
		}
	}
}

func checkComment(t *testing.T, p *pkg, f *file) {
	t.Helper()
	text := f.ast.Doc.Text()
	want := "Package " + f.ast.Name.Name + " "
	if f.ast.Name.Name == "main" {
		want = "Command " + path.Base(p.path) + " "
	}
	if !strings.HasPrefix(text, want) {
		t.Errorf("%s: the package comment must begin with %q", f.name, want)
	}
}
