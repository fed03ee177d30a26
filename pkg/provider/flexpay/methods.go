package flexpay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"quittance/pkg/provider"
)

// methods are the vendor's names of payment methods in protocol version 4, the only one that requests declare; BTC was
// one of version 3.
var methods = []string{"CC", "DDEU", "IDEAL", "YOURSAFE_DIRECT"}

// card is the method of cards, for which the vendor gives one-click tokens.
const card = "CC"

// shown are their names for people, where the vendor's are none, and their pictures.
var shown = map[string]provider.Method{
	"CC":              {ID: "CC", Name: "Credit card", Icon: "card"},
	"DDEU":            {ID: "DDEU", Name: "Direct debit", Icon: "bank"},
	"IDEAL":           {ID: "IDEAL", Name: "iDEAL", Icon: "bank"},
	"YOURSAFE_DIRECT": {ID: "YOURSAFE_DIRECT", Name: "Yoursafe", Icon: "wallet"},
}

var _ provider.MethodLister = (*Provider)(nil)

// Methods lists what the account's payment_methods offer; none if the customer chooses on the vendor's page.
func (*Provider) Methods(acc provider.Account) []provider.Method {
	s, err := settingsOf(acc)
	if err != nil {
		return nil
	}
	var out []provider.Method
	for _, name := range s.offers {
		out = append(out, shown[name])
	}
	return out
}

// methodsOf reads what an account always sends and what it offers; not both.
func methodsOf(from map[string]string) (always string, offers []string, err error) {
	always = from["payment_method"]
	if always != "" && !slices.Contains(methods, always) {
		return "", nil, fmt.Errorf("setting payment_method: %.20q is none of %v", always, methods)
	}
	list := from["payment_methods"]
	if list == "" {
		return always, nil, nil
	}
	if always != "" {
		return "", nil, fmt.Errorf("setting payment_methods: payment_method %s leaves no choice", always)
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case !slices.Contains(methods, name):
			return "", nil, fmt.Errorf("setting payment_methods: %.20q is none of %v", name, methods)
		case slices.Contains(offers, name):
			return "", nil, fmt.Errorf("setting payment_methods: %s is there twice", name)
		}
		offers = append(offers, name)
	}
	return "", offers, nil
}

// methodFor is what a purchase is sent with; empty: the customer chooses on the vendor's page.
func (s settings) methodFor(attempt provider.Attempt) (string, error) {
	method := s.method
	if attempt.OneClickToken != "" { // the vendor wants the method to be CC then
		if method != "" && method != card || len(s.offers) > 0 && !slices.Contains(s.offers, card) {
			return "", errors.New("cards are not offered, so none can be paid with again")
		}
		return card, nil
	}
	if attempt.Method != "" {
		if !slices.Contains(s.offers, attempt.Method) {
			return "", fmt.Errorf("method %.20q is not offered", attempt.Method)
		}
		method = attempt.Method
	}
	if method == "DDEU" && attempt.Amount.Currency != "EUR" {
		return "", fmt.Errorf("currency %.10q is not accepted for DDEU, only EUR is", attempt.Amount.Currency)
	}
	return method, nil
}
