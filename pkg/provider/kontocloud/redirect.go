package kontocloud

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// maxDescription is ours; the vendor gives no length.
const maxDescription = 200

// defaultLocale is where a decimal point is a dot, as in the vendor's API.
const defaultLocale = "en-US"

// Redirect gives the form that the browser posts to the e-wallet. It has one item, the order as a whole: the sum of the items
// is what is paid, and only the total is exact after discounts.
//
// ReturnURL must be one that the vendor has put on its list of allowed addresses beforehand.
func (*Provider) Redirect(acc provider.Account, attempt provider.Attempt) (provider.Redirect, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Redirect{}, err
	}
	back, err := url.Parse(attempt.ReturnURL)
	switch {
	case attempt.Reference == "":
		return provider.Redirect{}, fmt.Errorf("reference: missing")
	case attempt.Amount.Minor <= 0:
		return provider.Redirect{}, fmt.Errorf("amount %s is not positive", attempt.Amount)
	case err != nil || back.Host == "" || (back.Scheme != "https" && back.Scheme != "http"):
		return provider.Redirect{}, fmt.Errorf("return URL is not an absolute web address")
	}
	if _, known := money.Exponent(attempt.Amount.Currency); !known {
		return provider.Redirect{}, fmt.Errorf("currency %.10q is not known", attempt.Amount.Currency)
	}
	description := strings.Join(strings.Fields(attempt.Description), " ")
	if description == "" {
		description = attempt.Reference
	}
	if runes := []rune(description); len(runes) > maxDescription {
		description = string(runes[:maxDescription])
	}
	return provider.Redirect{
		Method: http.MethodPost,
		URL:    s.portal + PaymentPath,
		Fields: map[string]string{
			"callBackUrl":               attempt.ReturnURL,
			"merchantTransactionId":     attempt.Reference,
			"paymentType":               s.paymentType,
			"merchantAccno":             s.merchantAccno,
			"currencyCode":              attempt.Amount.Currency,
			"orderItems[0].description": description,
			"orderItems[0].price":       Localized(attempt.Amount, firstOf(s.locale, attempt.BrowserLocale, attempt.Locale, defaultLocale)),
			"orderItems[0].count":       "1",
		},
	}, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// Localized writes an amount's decimal in the way of a locale, without grouping: "25.00" in en-US, "25,00" in de-DE. Only
// the decimal point differs; a locale that isn't known, or writes neither dot nor comma, gets a dot.
func Localized(amount money.Amount, locale string) string {
	tag, err := language.Parse(strings.ReplaceAll(locale, "_", "-"))
	if err == nil && strings.Contains(message.NewPrinter(tag).Sprint(number.Decimal(1.5, number.Scale(1))), ",") {
		return strings.Replace(amount.Decimal(), ".", ",", 1)
	}
	return amount.Decimal()
}
