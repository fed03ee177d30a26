package simulation

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"quittance/pkg/provider/flexpay"
	"quittance/services/sabotage"
)

// asker is a process's way to the status API.
type asker struct {
	provider *provider
	life     *life
}

var _ http.RoundTripper = (*asker)(nil)

// RoundTrip implements http.RoundTripper.
func (a *asker) RoundTrip(req *http.Request) (*http.Response, error) {
	p, w := a.provider, a.provider.w
	r := w.ask("status")
	fails, how := chance(r, w.storm(WindStatus, "")), r.IntN(5)
	took := between(r, time.Millisecond, 200*time.Millisecond)
	if fails {
		w.count("the status API fails, is slow or answers nonsense")
	}
	if fails && how == 0 {
		took = between(r, 5*time.Second, 90*time.Second)
	}
	if err := wait(req.Context(), took); err != nil {
		return nil, err
	}
	var got reply
	err := a.life.deed("ask", func() error {
		switch {
		case fails && how == 1:
			return errFault
		case fails && how == 2:
			got = reply{http.StatusInternalServerError, "text/plain", "sorry"}
		case fails && how == 3:
			got = reply{http.StatusOK, "text/html", "<html>Scheduled maintenance</html>"}
		case fails && how == 4:
			got = reply{http.StatusOK, "text/yaml", "---\nresponse: NOTFOUND\n"}
		default:
			got = reply{http.StatusOK, "text/yaml", p.status(req.URL.Query())}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(req, got), nil
}

// status answers the signed question.
func (p *provider) status(query url.Values) string {
	params, err := flexpay.ParamsOf(query)
	if err == nil {
		err = flexpay.VerifyRequest(signatureKey, params)
	}
	if err != nil {
		return "---\nresponse: ERROR\nerror: Invalid signature\n"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sales[params["referenceID"]]
	if s == nil || shops[s.account] != params["shopID"] {
		return "---\nresponse: NOTFOUND\n"
	}
	word, amount, id, reference := s.word, s.captured, s.id, s.reference
	if word != wordDeclined && time.Now().Before(s.shown) {
		word = wordPending
	}
	if amount.Currency == "" || p.w.sabotage == sabotage.SkipAmount { // nothing is taken yet
		amount = s.ordered
	}
	if s.lies != nil {
		id, amount = s.transaction(), s.ordered
	}
	var text strings.Builder
	text.WriteString("---\nresponse: FOUND\n")
	for _, field := range [][2]string{
		{"saleResult", word}, {"saleID", id}, {"referenceID", reference},
		{"priceAmount", amount.Decimal()}, {"priceCurrency", amount.Currency}, {"paymentMethod", s.method},
	} {
		if field[1] != "" {
			fmt.Fprintf(&text, "%s: %q\n", field[0], field[1])
		}
	}
	return text.String()
}
