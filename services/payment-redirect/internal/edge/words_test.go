package edge

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// keyLike is a literal that names a text, or the beginning of a title and a text.
	keyLike = regexp.MustCompile("[\"`]((?:page|lines|pay|post|offline|order|step|receipt|say|checkout|method|country|error)\\.[a-z_0-9.]+)[\"`]")
	blank   = regexp.MustCompile(`\{\d\}`)
)

// TestCataloguesAreComplete: every text that pages ask for is there in every
// language with the same blanks, and nobody keeps what no page asks for.
func TestCataloguesAreComplete(t *testing.T) {
	used := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".html") {
			return err
		}
		source, err := os.ReadFile(path) //nolint:gosec // a file of this package
		for _, m := range keyLike.FindAllStringSubmatch(string(source), -1) {
			used[m[1]] = !strings.HasSuffix(m[1], ".html")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	first := catalogues.Languages()[0]
	for key, is := range used {
		if !is {
			continue
		}
		if !first.Has(key) && !(first.Has(key+".title") && first.Has(key+".text")) {
			t.Errorf("%s is used, and missing", key)
		}
	}
	for _, l := range catalogues.Languages() {
		for _, key := range first.Keys() {
			if !l.Has(key) {
				t.Errorf("%s lacks %s", l.Tag(), key)
			}
			want, got := blank.FindAllString(first.Say(key), -1), blank.FindAllString(l.Say(key), -1)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s of %s has the blanks %v, want %v", key, l.Tag(), got, want)
			}
		}
		for _, key := range l.Keys() {
			stem, _ := strings.CutSuffix(strings.TrimSuffix(key, ".text"), ".title")
			known := strings.HasPrefix(key, "language.") || strings.HasPrefix(key, "format.")
			if !used[key] && !used[stem] && !known {
				t.Errorf("%s of %s is used nowhere", key, l.Tag())
			}
		}
	}
}

func TestBrandColoursAreReadable(t *testing.T) {
	for _, color := range []string{"#000000", "#ffffff", "#ffff00", "#0b6e5c", "#ff0000", "#7f7f7f", "#1b57b0", "#00ff00"} {
		c, ok := parseColor(color)
		if !ok {
			t.Fatal(color)
		}
		for _, on := range []struct{ color, ground rgb }{{c.until(lightGround, rgb{}), lightGround}, {c.until(darkGround, white), darkGround}} {
			if ratio := contrast(on.color, on.ground); ratio < readable {
				t.Errorf("%s as %s on %s: %.2f", color, on.color, on.ground, ratio)
			}
			if ratio := contrast(on.color.on(), on.color); ratio < readable {
				t.Errorf("text %s on %s: %.2f", on.color.on(), on.color, ratio)
			}
		}
	}
	for _, bad := range []string{"", "red", "#fff", "#12345g", "#1234567", "}body{x:y"} {
		if css := brandCSS(bad); css != "" {
			t.Errorf("%q gives %s", bad, css)
		}
	}
}
