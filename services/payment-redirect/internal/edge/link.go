package edge

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/services/payment-redirect/internal/session"
)

// Parameters of checkout links.
const (
	paramQuantity  = "quantity"
	paramCurrency  = "currency"
	paramDiscount  = "discount"
	paramAdd       = "add"
	paramReference = "reference"
	paramReturn    = "returnUrl"
	paramEmail     = "email"
	paramName      = "name"
	paramExpires   = "expires"
	paramSignature = "signature"
)

// signed are the parameters that a signature covers: all but those that are the
// customer's own. One that is not there is covered, too.
var signed = []string{paramAdd, paramCurrency, paramDiscount, paramExpires, paramQuantity, paramReference, paramReturn}

var (
	productID  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	merchantID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
)

// maxLink bounds the query of a link.
const maxLink = 4000

// signature is what a link must bring to be taken as the merchant made it. It is
// derived with our keyring, so only we can make it.
func (p *Checkout) signature(merchant, product string, q url.Values) string {
	parts := []string{merchant, product}
	for _, name := range signed {
		parts = append(parts, name, strconv.Itoa(len(q[name])))
		parts = append(parts, q[name]...)
	}
	return p.Keyring.Fingerprint([]byte(id.Derived("link", parts...)), "checkout link")
}

// parseLink reads a checkout link into a session. Errors name the parameter.
func (p *Pages) parseLink(r *http.Request, merchant, product string, signedOnly bool) (*session.Session, error) {
	if len(r.URL.RawQuery) > maxLink {
		return nil, fault.Invalid("link", "is too long")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Invalid("link", "is not readable")
	}
	s := &session.Session{
		Merchant: merchant, Currency: strings.ToUpper(q.Get(paramCurrency)), Discount: q.Get(paramDiscount),
		Reference: q.Get(paramReference), ReturnURL: q.Get(paramReturn), Locale: languageOf(r, nil).Tag(),
	}
	if s.Locked = q.Has(paramSignature); s.Locked {
		want := p.checkout.signature(merchant, product, q)
		if subtle.ConstantTimeCompare([]byte(want), []byte(q.Get(paramSignature))) != 1 {
			return nil, fault.Invalid(paramSignature, "does not fit: the link was changed")
		}
		if err := notExpired(q.Get(paramExpires), p.sessions.Now()); err != nil {
			return nil, err
		}
	} else if signedOnly {
		return nil, fault.Invalid(paramSignature, "is missing")
	}
	var v fault.Validation
	s.Items = itemsOf(&v, product, q)
	_, known := money.Exponent(s.Currency)
	v.Check(known || s.Currency == "", paramCurrency, "must be an ISO 4217 code")
	text(&v, paramDiscount, s.Discount, 0, 64)
	text(&v, paramReference, s.Reference, 0, 64)
	if err := v.Err(); err != nil {
		return nil, err
	}
	// What a link prefills is the customer's to change: nonsense is left out.
	s.Customer = session.Customer{Email: prefilled(q.Get(paramEmail), 254), Name: prefilled(q.Get(paramName), 100)}
	return s, nil
}

func notExpired(expires string, now time.Time) error {
	if expires == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !now.Before(time.Unix(seconds, 0)) {
		return fault.Invalid(paramExpires, "is over: the link is not valid any more")
	}
	return nil
}

// itemsOf reads the product of the path with its quantity, and what is to be
// added: "backup" or "backup:2".
func itemsOf(v *fault.Validation, product string, q url.Values) []session.Item {
	var s session.Session
	for i, add := range append([]string{product + ":" + q.Get(paramQuantity)}, q[paramAdd]...) {
		field := paramAdd
		if i == 0 {
			field = paramQuantity
		}
		name, number, _ := strings.Cut(add, ":")
		quantity := int64(1)
		if number != "" {
			var err error
			if quantity, err = strconv.ParseInt(number, 10, 64); err != nil {
				quantity = 0
			}
		}
		good := productID.MatchString(name) && quantity >= 1 && quantity <= session.MaxQuantity
		if v.Check(good, field, "must be a product and a quantity of 1 to %d", session.MaxQuantity) {
			v.Check(s.Add(name, quantity), field, "must name at most %d products", session.MaxItems)
		}
	}
	return s.Items
}

func prefilled(s string, most int) string {
	var v fault.Validation
	text(&v, "prefilled", s, 0, most)
	if v.Err() != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

// Link is a checkout link that the merchant may give to customers.
func (p *Checkout) Link(merchant, product string, q url.Values) string {
	for name, values := range q {
		if q[name] = slices.DeleteFunc(values, func(s string) bool { return s == "" }); len(q[name]) == 0 {
			delete(q, name)
		}
	}
	q.Set(paramSignature, p.signature(merchant, product, q))
	return fmt.Sprintf("%s/checkout/%s/%s?%s", p.PublicURL, merchant, product, q.Encode())
}
