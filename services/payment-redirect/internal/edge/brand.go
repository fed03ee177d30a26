package edge

import (
	"fmt"
	"net/http"
	"strings"

	"quittance/pkg/color"
	"quittance/pkg/fault"
	"quittance/pkg/words"
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
		Shop: m.GetName(), Mark: words.Initial(m.GetName()), Support: s.GetSupportEmail(), TermsURL: s.GetTermsUrl(), PrivacyURL: s.GetPrivacyUrl(),
	}
	if css := brandCSS(s.GetColor()); css != "" {
		data.BrandSheet = p.path(newAsset(brandSheets+m.GetId()+".css", "", []byte(css)).link())
	}
	if len(s.GetLogo()) > 0 {
		data.Logo = p.path(newAsset(logos+m.GetId(), "", s.GetLogo()).link())
	}
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

// Grounds of pages in both colour schemes: those of pay.css.
var (
	lightGround = color.White
	darkGround  = color.RGB{R: 25, G: 31, B: 40}
)

// brandCSS sets a merchant's colour, made darker or lighter where it would not
// be readable; empty for none.
func brandCSS(brand string) string {
	c, ok := color.Parse(brand)
	if !ok {
		return ""
	}
	light, dark := c.On(lightGround), c.On(darkGround)
	return fmt.Sprintf(":root { --main: %s; --on-main: %s; }\n@media screen and (prefers-color-scheme: dark) { :root { --main: %s; --on-main: %s; } }\n",
		light, light.Text(), dark, dark.Text())
}
