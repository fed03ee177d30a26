package flexpay

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"quittance/pkg/provider"
)

// Limits of the vendor on request parameters.
const (
	maxDescription = 100 // printable characters
	maxURL         = 255
	maxEmail       = 100
)

// maxIdentifier is ours; the vendor gives no length for a reference.
const maxIdentifier = 100

// currencies that a purchase can be priced in.
var currencies = []string{"AUD", "CAD", "CHF", "DKK", "EUR", "GBP", "NOK", "SEK", "USD"}

// Redirect gives the signed URL of the order page.
//
// ReturnURL must have no query: the vendor appends signed parameters to it, the signature is checked over all that
// arrive, and one of our own among them would break it. The attempt therefore has to be named by the path.
func (*Provider) Redirect(acc provider.Account, attempt provider.Attempt) (provider.Redirect, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Redirect{}, err
	}
	if err := checkAttempt(attempt); err != nil {
		return provider.Redirect{}, err
	}
	method, err := s.methodFor(attempt)
	if err != nil {
		return provider.Redirect{}, err
	}
	description := printable(attempt.Description)
	if description == "" {
		description = printable(attempt.Reference)
	}
	params := Params{
		"version":       Version,
		"shopID":        s.shopID,
		"type":          "purchase",
		"priceAmount":   attempt.Amount.Decimal(),
		"priceCurrency": attempt.Amount.Currency,
		"paymentMethod": method,
		"description":   description,
		"referenceID":   attempt.Reference,
		"successURL":    attempt.ReturnURL,
		"declineURL":    attempt.DeclineURL,
	}
	// The address only fills in the vendor's form, so one that doesn't fit is left out.
	if len(attempt.Email) <= maxEmail {
		params["email"] = attempt.Email
	}
	if attempt.OneClickToken != "" {
		params["oneClickToken"] = attempt.OneClickToken.Reveal()
	}
	return provider.Redirect{
		Method: http.MethodGet,
		URL:    s.base + OrderPath + "?" + SignRequest(s.Key, params).Query(),
	}, nil
}

func checkAttempt(attempt provider.Attempt) error {
	amount := attempt.Amount
	switch {
	case !identifier(attempt.Reference):
		return fmt.Errorf("reference %.40q cannot be sent", attempt.Reference)
	case amount.Minor <= 0:
		return fmt.Errorf("amount %s is not positive", amount)
	case !slices.Contains(currencies, amount.Currency):
		return fmt.Errorf("currency %.10q is not accepted, only %v are", amount.Currency, currencies)
	}
	back, err := checkURL("return", attempt.ReturnURL)
	if err != nil {
		return err
	}
	if back.RawQuery != "" || back.ForceQuery {
		return errors.New("return URL has a query, which would break the signature of the return")
	}
	if attempt.DeclineURL == "" {
		return nil
	}
	_, err = checkURL("decline", attempt.DeclineURL)
	return err
}

func checkURL(kind, text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http"):
		return nil, fmt.Errorf("%s URL is not an absolute web address", kind)
	case parsed.Fragment != "":
		return nil, fmt.Errorf("%s URL has a fragment", kind)
	case len(text) > maxURL:
		return nil, fmt.Errorf("%s URL has %d characters, at most %d are allowed", kind, len(text), maxURL)
	}
	return parsed, nil
}

// printable makes foreign text fit to show: control characters become spaces, runs of space one, and what is beyond the
// limit of a description is cut off between characters.
func printable(text string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return -1
		case unicode.IsPrint(r):
			return r
		default:
			return ' '
		}
	}, text)
	words := []rune(strings.Join(strings.Fields(clean), " "))
	return strings.TrimSpace(string(words[:min(len(words), maxDescription)]))
}

// identifier accepts 1 to 100 visible ASCII characters without ':' and '='. Those two separate parameters in what is
// signed: a value that has them could be cut another way under the same signature.
func identifier(text string) bool {
	if text == "" || len(text) > maxIdentifier {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == ':' || c == '=' {
			return false
		}
	}
	return true
}
