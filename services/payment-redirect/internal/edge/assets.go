package edge

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the files of the pages
	"encoding/hex"
	"net/http"
	"time"
)

//go:embed assets/pay.css
var payCSS []byte

//go:embed assets/live.js
var liveJS []byte

// Stylesheet is the path of the style sheet of all pages.
const Stylesheet = "/assets/pay.css"

// asset is a file that browsers may keep until its version changes.
type asset struct {
	path, contentType, version string
	body                       []byte
}

var (
	stylesheet = newAsset(Stylesheet, "text/css; charset=utf-8", payCSS)
	liveScript = newAsset("/assets/live.js", "text/javascript; charset=utf-8", liveJS)
)

func newAsset(path, contentType string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{path: path, contentType: contentType, version: hex.EncodeToString(sum[:6]), body: body}
}

// link is the asset's path with its version.
func (a asset) link() string { return a.path + "?v=" + a.version }

// ServeHTTP implements http.Handler.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("ETag", `"`+a.version+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
