package edge

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Paths of what is the merchant's own on pages: a style sheet that sets its
// colours, and its logo. Both are served here, so that pages load nothing from
// elsewhere and need no inline style.
const (
	brandSheets = "/assets/brand/"
	logos       = "/assets/logo/"
)

// face is what a page shows of its merchant.
type face struct {
	Shop, Mark, Logo              string
	Support, TermsURL, PrivacyURL string
}

// dress gives a page its merchant's face.
func (p *Pages) dress(data *page, m *orderv1.Merchant) {
	s := m.GetStorefront()
	data.face = face{
		Shop: m.GetName(), Mark: initial(m.GetName()), Support: s.GetSupportEmail(), TermsURL: s.GetTermsUrl(), PrivacyURL: s.GetPrivacyUrl(),
	}
	if css := brandCSS(s.GetColor()); css != "" {
		data.BrandSheet = p.path(newAsset(brandSheets+m.GetId()+".css", "", []byte(css)).link())
	}
	if len(s.GetLogo()) > 0 {
		data.Logo = p.path(newAsset(logos+m.GetId(), "", s.GetLogo()).link())
	}
}

// initial stands for a shop that has no logo.
func initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return string(unicode.ToUpper(r))
		}
	}
	r, _ := utf8.DecodeRuneInString(name)
	return string(r)
}

// brandSheet serves a merchant's colours.
func (p *Pages) brandSheet(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(r.PathValue("file"), ".css")
	m, err := p.checkout.Reference.Merchant(r.Context(), id)
	css := brandCSS(m.GetStorefront().GetColor())
	if !ok || err != nil || css == "" {
		p.lacks(w, r, err)
		return
	}
	newAsset("", stylesheet.contentType, []byte(css)).ServeHTTP(w, r)
}

// logo serves a merchant's picture.
func (p *Pages) logo(w http.ResponseWriter, r *http.Request) {
	m, err := p.checkout.Reference.Merchant(r.Context(), r.PathValue("file"))
	picture := m.GetStorefront().GetLogo()
	kind := http.DetectContentType(picture)
	if err != nil || len(picture) == 0 || !strings.HasPrefix(kind, "image/") {
		p.lacks(w, r, err)
		return
	}
	newAsset("", kind, picture).ServeHTTP(w, r)
}

// lacks answers for an asset that isn't there, or can't be read now.
func (p *Pages) lacks(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		err = fault.NotFound("asset")
	}
	p.fail(w, r, err)
}

// Grounds on which a brand's colour has to be readable, and what stands on it,
// in both colour schemes: those of pay.css.
var (
	lightGround = rgb{255, 255, 255}
	darkGround  = rgb{25, 31, 40}
	white       = rgb{255, 255, 255}
	ink         = rgb{12, 18, 28}
)

// readable is the contrast that WCAG 2.2 (1.4.3) asks for.
const readable = 4.5

// brandCSS sets a merchant's colour, made darker or lighter where it would not
// be readable; empty for none.
func brandCSS(color string) string {
	c, ok := parseColor(color)
	if !ok {
		return ""
	}
	light, dark := c.until(lightGround, rgb{}), c.until(darkGround, white)
	return fmt.Sprintf(":root { --main: %s; --on-main: %s; }\n@media screen and (prefers-color-scheme: dark) { :root { --main: %s; --on-main: %s; } }\n",
		light, light.on(), dark, dark.on())
}

type rgb struct{ r, g, b uint8 }

func parseColor(s string) (rgb, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return rgb{}, false
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true //nolint:gosec // each is cut to its byte
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// until moves the colour towards another until it is readable on a ground.
func (c rgb) until(ground, towards rgb) rgb {
	out := c
	for step := 0.0; contrast(out, ground) < readable && step <= 1; step += 0.02 {
		out = rgb{mix(c.r, towards.r, step), mix(c.g, towards.g, step), mix(c.b, towards.b, step)}
	}
	return out
}

// on is the text colour that is best read on the colour.
func (c rgb) on() rgb {
	if contrast(c, white) >= contrast(c, ink) {
		return white
	}
	return ink
}

func mix(from, to uint8, part float64) uint8 {
	return uint8(math.Round(float64(from)*(1-part) + float64(to)*part))
}

// contrast is the ratio of WCAG 2.2, 1 to 21.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c rgb) luminance() float64 {
	channel := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(c.r) + 0.7152*channel(c.g) + 0.0722*channel(c.b)
}
