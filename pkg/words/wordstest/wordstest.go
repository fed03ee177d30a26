// Package wordstest checks catalogues of package words in tests: it takes a book
// and the sources that ask for its texts, and says what is missing or not used.
package wordstest

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quittance/pkg/words"
)

var blank = regexp.MustCompile(`\{\d\}`)

// Complete checks that every text that the sources ask for is there in every
// language with the same blanks, and that nobody keeps what they don't ask for.
// areas are the first parts of keys: what begins with one of them and a dot in a
// quoted string of a Go file or a template is a key, or the beginning of those of
// a title and a text.
func Complete(t *testing.T, b *words.Book, sources fs.FS, areas ...string) {
	t.Helper()
	used := keys(t, sources, areas)
	first := b.Languages()[0]
	for key := range used {
		if !first.Has(key) && !(first.Has(key+".title") && first.Has(key+".text")) {
			t.Errorf("%s is used, and missing", key)
		}
	}
	for _, l := range b.Languages() {
		for _, key := range first.Keys() {
			if !l.Has(key) {
				t.Errorf("%s lacks %s", l.Tag(), key)
			}
			if want, got := blanks(first.Say(key)), blanks(l.Say(key)); !slices.Equal(want, got) {
				t.Errorf("%s of %s has the blanks %v, want %v", key, l.Tag(), got, want)
			}
		}
		for _, key := range l.Keys() {
			stem := strings.TrimSuffix(strings.TrimSuffix(key, ".text"), ".title")
			known := strings.HasPrefix(key, "language.") || strings.HasPrefix(key, "format.")
			if !used[key] && !used[stem] && !known {
				t.Errorf("%s of %s is used nowhere", key, l.Tag())
			}
		}
	}
}

// keys are those that the sources name.
func keys(t *testing.T, sources fs.FS, areas []string) map[string]bool {
	t.Helper()
	like := regexp.MustCompile("[\"`]((?:" + strings.Join(areas, "|") + ")\\.[a-z_0-9.]+)[\"`]")
	used := map[string]bool{}
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") ||
			!strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".html") && !strings.HasSuffix(path, ".txt") {
			return err
		}
		source, err := fs.ReadFile(sources, path)
		for _, m := range like.FindAllStringSubmatch(string(source), -1) {
			if !strings.HasSuffix(m[1], ".html") && !strings.HasSuffix(m[1], ".txt") { // names of templates
				used[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func blanks(text string) []string {
	found := blank.FindAllString(text, -1)
	slices.Sort(found)
	return found
}
