package kontocloud

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"quittance/pkg/id"
	"quittance/pkg/money"
	wire "quittance/pkg/provider/kontocloud"
	"quittance/services/sandbox/internal/page"
	"quittance/services/sandbox/internal/vendor"
)

//go:embed back.html
var files embed.FS

var backPage = page.Parse(files, "back.html")

// enter takes the browser's form and shows the payment. A merchantTransactionId comes again only with the same form.
func (s *Simulator) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form is unreadable.", http.StatusBadRequest)
		return
	}
	p, err := s.paymentOf(r.PostForm, r.Header.Get("Accept-Language"))
	if err != nil {
		http.Error(w, "This form can't be taken: "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, known := range s.Book.List(p.Reference) {
		if known.Shop == p.Shop {
			if known.Detail("form") != p.Detail("form") {
				http.Error(w, "This form can't be taken: merchantTransactionId was used for another payment", http.StatusBadRequest)
				return
			}
			s.ShowPayment(w, http.StatusOK, known, "")
			return
		}
	}
	if err := s.Book.Enter(p); err != nil {
		s.Fail(w, r, err)
		return
	}
	s.ShowPayment(w, http.StatusOK, p, "")
}

// paymentOf reads the hidden inputs. Numbers are read in the way of the browser's locale, as the vendor's portal does: in
// en-US, "25,00" is 2500.
func (s *Simulator) paymentOf(form url.Values, languages string) (vendor.Payment, error) {
	shop, ok := s.Book.Shop(form.Get("merchantAccno"))
	back, err := url.Parse(form.Get("callBackUrl"))
	kind := form.Get("paymentType")
	switch {
	case !ok:
		return vendor.Payment{}, fmt.Errorf("merchantAccno is not registered")
	case err != nil || back.Host == "":
		return vendor.Payment{}, fmt.Errorf("callBackUrl is not an absolute URL")
	case form.Get("merchantTransactionId") == "":
		return vendor.Payment{}, fmt.Errorf("merchantTransactionId is missing")
	case kind != "Standard" && kind != "BlockAmount":
		return vendor.Payment{}, fmt.Errorf("paymentType %q is not known", kind)
	}
	locale, _, _ := strings.Cut(languages, ",")
	locale, _, _ = strings.Cut(otherwise(locale, "en-US"), ";")
	total := money.Amount{Currency: form.Get("currencyCode")}
	for i := 0; form.Has(fmt.Sprintf("orderItems[%d].price", i)); i++ {
		price, err := priceOf(total.Currency, form.Get(fmt.Sprintf("orderItems[%d].price", i)), locale)
		if err != nil {
			return vendor.Payment{}, fmt.Errorf("price: %w", err)
		}
		count, err := strconv.Atoi(form.Get(fmt.Sprintf("orderItems[%d].count", i)))
		if err != nil || count < 1 || count > 1000 {
			return vendor.Payment{}, fmt.Errorf("count is not a number")
		}
		total.Minor += price.Minor * int64(count)
	}
	if total.Minor <= 0 {
		return vendor.Payment{}, fmt.Errorf("there is nothing to pay")
	}
	zero := money.Amount{Currency: total.Currency}
	return vendor.Payment{
		Token: id.Token(), ID: "PT-" + id.Token(), Reference: form.Get("merchantTransactionId"), Shop: shop.ID,
		Description: form.Get("orderItems[0].description"), CreatedOn: s.Now(), State: created,
		Amount: total, Authorized: zero, Captured: zero, Canceled: zero, Refunded: zero,
		Details: map[string]string{"callBackUrl": back.String(), "paymentType": kind, "form": form.Encode()},
	}, nil
}

// priceOf reads a number in the way of a locale: its decimal sign, and the other one for grouping.
func priceOf(currency, text, locale string) (money.Amount, error) {
	decimal, grouping := ".", ","
	if strings.Contains(wire.Localized(money.Amount{Minor: 150, Currency: "EUR"}, locale), ",") {
		decimal, grouping = ",", "."
	}
	return money.Parse(currency, strings.ReplaceAll(strings.ReplaceAll(text, grouping, ""), decimal, "."))
}
