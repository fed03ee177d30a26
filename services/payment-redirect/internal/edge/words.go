package edge

import (
	"embed"
	"net/http"
	"net/url"

	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

//go:embed words/*.json
var wordFiles embed.FS

// catalogues hold all that customers read, but for the words of merchants and
// providers: a file per language.
var catalogues = words.MustParse(wordFiles, "words", "en")

// situation is what a page says of an order or of a failure: the beginning of
// two keys of the catalogues, for its title and its text.
type situation string

// What pages say of orders.
const (
	orderCanceled    situation = "order.canceled"
	orderExpired     situation = "order.expired"
	orderWaiting     situation = "order.waiting"
	orderAuthorized  situation = "order.authorized"
	orderChecking    situation = "order.checking"
	orderPreparing   situation = "order.preparing"
	orderPartly      situation = "order.partly"
	orderDone        situation = "order.done"
	orderDelayed     situation = "order.delayed"
	orderRefunded    situation = "order.refunded"
	orderChargedBack situation = "order.charged_back"
	orderUnclear     situation = "order.unclear"
)

// What pages say of failures.
const (
	sayNotFound    situation = "say.not_found"
	sayUnavailable situation = "say.unavailable"
	sayTooLarge    situation = "say.too_large"
	sayUnreadable  situation = "say.unreadable"
	sayNotAllowed  situation = "say.not_allowed"
	sayForeign     situation = "say.foreign"
	sayTooMany     situation = "say.too_many"
	sayNoCustomer  situation = "say.no_customer"
	sayBadLink     situation = "say.bad_link"
	sayOneMoment   situation = "say.one_moment"
	sayBadCheckout situation = "say.bad_checkout"
	saySessionOver situation = "say.session_over"
	sayKept        situation = "say.kept"
)

// langParam is the query parameter by which a page is asked for in a language.
const langParam = "lang"

// languageOf is the language of a page: the one asked for, else the order's,
// else the browser's.
func languageOf(r *http.Request, o *orderv1.Order) *words.Language {
	return catalogues.Choose(r.URL.Query().Get(langParam), o.GetCustomer().GetLocale(), r.Header.Get("Accept-Language"))
}

// keep adds the language that a page was asked for to a link, so that it stays.
func keep(r *http.Request, link string) string {
	asked := r.URL.Query().Get(langParam)
	if asked == "" {
		return link
	}
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	q := u.Query()
	q.Set(langParam, catalogues.Choose(asked).Tag())
	u.RawQuery = q.Encode()
	return u.String()
}

// pageLanguage is a link to the same page in a language.
type pageLanguage struct {
	Tag, Name, URL string
	Current        bool
}

// languages are the links to the page in every language.
func (p *Pages) languages(r *http.Request, current *words.Language) []pageLanguage {
	var out []pageLanguage
	for _, l := range catalogues.Languages() {
		q := r.URL.Query()
		q.Set(langParam, l.Tag())
		out = append(out, pageLanguage{
			Tag: l.Tag(), Name: l.Name(), URL: p.path(r.URL.EscapedPath()) + "?" + q.Encode(), Current: l == current,
		})
	}
	return out
}
