package flexpay

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"quittance/pkg/id"
	"quittance/pkg/money"
	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/page"
)

// What an order may contain, as docs/providers.md has it from the vendor's documentation.
var (
	price      = regexp.MustCompile(`^[0-9]{1,7}\.[0-9]{2}$`)
	currencies = []string{"USD", "EUR", "GBP", "AUD", "CAD", "CHF", "DKK", "NOK", "SEK"}
	methods    = []string{"CC", "DDEU", "YOURSAFE_DIRECT", "IDEAL"}
)

var errOrder = errors.New("order refused")

// startOrder checks a signed order, enters it into the book and shows its order page.
func (s *Simulator) startOrder(w http.ResponseWriter, r *http.Request) {
	sale, err := s.orderOf(r.URL.Query())
	if err == nil {
		sale, err = s.enter(sale)
	}
	if errors.Is(err, errOrder) {
		page.Write(w, http.StatusBadRequest, refusedPage, strings.Split(err.Error(), "\n")[1:])
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.showOrder(w, http.StatusOK, sale, "")
}

// orderOf reads an order. Its error is errOrder with a line per problem.
func (s *Simulator) orderOf(query url.Values) (Sale, error) {
	params, err := wire.ParamsOf(query)
	if err != nil {
		return Sale{}, fmt.Errorf("%w\n%w", errOrder, err)
	}
	shop, ok := s.book.shop(params["shopID"])
	if !ok {
		return Sale{}, fmt.Errorf("%w\nshopID: not registered", errOrder)
	}
	if err := wire.VerifyRequest(shop.key(), params); err != nil {
		return Sale{}, fmt.Errorf("%w\nsignature: %w", errOrder, err)
	}
	if problems := problemsOf(params); len(problems) > 0 {
		return Sale{}, fmt.Errorf("%w\n%s", errOrder, strings.Join(problems, "\n"))
	}
	amount, err := money.Parse(params["priceCurrency"], params["priceAmount"])
	if err != nil || amount.IsZero() {
		return Sale{}, fmt.Errorf("%w\npriceAmount: not a positive amount", errOrder)
	}
	again := s.gave(shop.ID, params["oneClickToken"])
	request := without(maps.Clone(params))
	delete(request, "signature")
	delete(request, "oneClickToken") // it says how to pay, not what
	zero := money.Amount{Currency: amount.Currency}
	return Sale{
		Again: again, Token: id.Token(), ShopID: shop.ID, ReferenceID: params["referenceID"], Description: params["description"],
		Amount: amount, PaymentMethod: params["paymentMethod"], Email: params["email"],
		Custom:     [3]string{params["custom1"], params["custom2"], params["custom3"]},
		SuccessURL: params["successURL"], DeclineURL: params["declineURL"],
		Request: request.Query(), CreatedOn: s.config.Now(), State: Pending, Captured: zero, Refunded: zero,
	}, nil
}

// gave says whether a token is one that a sale of the shop was given. What the vendor does with one that it does not know is
// not public: here the customer pays as if there were none.
func (s *Simulator) gave(shopID, token string) bool {
	return token != "" && len(s.book.list(func(sale Sale) bool { return sale.ShopID == shopID && sale.OneClickToken == token })) > 0
}

// enter finds or adds the sale. A reference must be unique, so it can come again only with the same order.
func (s *Simulator) enter(sale Sale) (Sale, error) {
	known, err := s.book.enter(sale)
	if err == nil && known.Request != sale.Request {
		return Sale{}, fmt.Errorf("%w\nreferenceID: was used for another order", errOrder)
	}
	return known, err
}

func problemsOf(params wire.Params) []string {
	var problems []string
	check := func(ok bool, name, problem string) {
		if !ok {
			problems = append(problems, name+": "+problem)
		}
	}
	check(params["version"] == "4", "version", "must be 4")
	check(params["type"] == "purchase", "type", "must be purchase")
	check(price.MatchString(params["priceAmount"]), "priceAmount", "must be like nnn.nn")
	check(slices.Contains(currencies, params["priceCurrency"]), "priceCurrency", "not accepted")
	method := params["paymentMethod"]
	check(method == "" || slices.Contains(methods, method), "paymentMethod", "not known")
	check(method == "CC" || params["oneClickToken"] == "", "paymentMethod", "must be CC with oneClickToken")
	check(method != "DDEU" || params["priceCurrency"] == "EUR", "priceCurrency", "must be EUR for DDEU")
	description := params["description"]
	check(description != "" && utf8.RuneCountInString(description) <= 100 && printable(description),
		"description", "must be 1 to 100 printable characters")
	for name, most := range map[string]int{"referenceID": 255, "custom1": 255, "custom2": 255, "custom3": 255, "email": 100} {
		check(len(params[name]) <= most && printable(params[name]), name, fmt.Sprintf("must be at most %d printable characters", most))
	}
	for _, name := range []string{"successURL", "declineURL"} {
		address, err := url.Parse(params[name])
		check(params[name] == "" || (err == nil && len(params[name]) <= 255 && address.Host != "" &&
			(address.Scheme == "http" || address.Scheme == "https")), name, "must be a web address of at most 255 characters")
	}
	slices.Sort(problems)
	return problems
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// fail answers with a page about a failure of the sandbox itself.
func (s *Simulator) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.config.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	http.Error(w, "The sandbox has a problem: "+err.Error(), http.StatusInternalServerError)
}
