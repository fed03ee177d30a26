package edge

import (
	"os"
	"testing"

	"quittance/pkg/words/wordstest"
)

func TestCataloguesAreComplete(t *testing.T) {
	wordstest.Complete(t, catalogues, os.DirFS("."),
		"page", "lines", "pay", "post", "offline", "order", "step", "receipt", "say", "checkout", "method", "country", "error")
}

func TestOnlyColoursBecomeStyle(t *testing.T) {
	for _, bad := range []string{"", "red", "#fff", "#12345g", "#1234567", "}body{x:y"} {
		if css := brandCSS(bad); css != "" {
			t.Errorf("%q gives %s", bad, css)
		}
	}
}
