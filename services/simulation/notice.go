package simulation

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider/flexpay"
)

// notice is something that the provider calls back about.
type notice struct {
	event  string // empty: the purchase
	amount money.Amount
	nth    int // of its kind
}

// key tells a sale's notices apart.
func (n notice) key() string { return fmt.Sprint(n.event, n.nth) }

// acknowledgement is an OK that we gave to a notice, whether it arrived or not.
type acknowledgement struct{ reference, notice string }

// retries are the provider's pauses before it tries a postback again.
var retries = []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour}

// tell tries a postback until it is answered OK. A card sale that never is goes back.
func (p *provider) tell(s *sale, n notice) {
	for try := 0; ; try++ {
		if p.postback(s, n) {
			p.change(s, func() { s.acked = s.acked || n.event == "" })
			return
		}
		if try == len(retries) {
			break
		}
		p.w.rest(retries[try] + between(p.w.ask("postback pause"), 0, time.Second))
	}
	if n.event == "" && s.method == "CC" {
		p.change(s, func() {
			if s.word == wordApproved {
				s.word, s.returned = wordRefunded, s.captured
				p.w.note("provider: card sale given back, its postback was never answered")
			}
		})
	}
}

// postback sends one round, and reports whether an OK came back.
func (p *provider) postback(s *sale, n notice) bool {
	params := flexpay.Params{
		"saleID": s.id, "transactionID": s.txn, "referenceID": s.reference, "shopID": shops[s.account], "type": "purchase",
		"priceAmount": n.amount.Decimal(), "priceCurrency": n.amount.Currency, "paymentMethod": s.method,
	}
	if n.event != "" {
		params["event"], params["parentID"], params["transactionID"] = n.event, s.txn, fmt.Sprint(s.txn, "9", n.nth)
	}
	query := flexpay.SignData(signatureKey, params).Query()
	r := p.w.ask("postback")
	fails, how := chance(r, p.w.storm(WindPostback, "")), r.IntN(4)
	pause(between(r, time.Millisecond, 60*time.Millisecond))
	if fails {
		p.w.count("a postback is lost, late, doubled or not heard answered")
	}
	switch {
	case fails && how == 0:
		p.w.note("postback %q lost", n.event)
		return false
	case fails && how == 1:
		p.w.rest(between(r, time.Second, 3*time.Minute))
	case fails && how == 2: // both at once
		p.w.spawn(func() { p.deliver(s, n, query) })
	}
	ok := p.deliver(s, n, query)
	if fails && how == 3 {
		p.w.note("the answer to a postback is lost")
		return false
	}
	return ok
}

// deliver brings one postback to callback-ingest.
func (p *provider) deliver(s *sale, n notice, query string) bool {
	got := p.w.request(p.w.nodes[callbackName], http.MethodGet, "/callbacks/flexpay/"+s.account+"?"+query, "")
	ok := got.status == http.StatusOK && got.body == "OK"
	p.w.note("postback %q answered %d %s", n.event, got.status, got.body)
	if ok {
		p.change(s, func() { p.acks = append(p.acks, acknowledgement{s.reference, n.key()}) })
	}
	return ok
}

// told reports that we have acknowledged a notice of the sale, whether the
// provider heard it or not.
func (p *provider) told(s *sale, n notice) bool {
	return slices.Contains(p.acks, acknowledgement{s.reference, n.key()})
}

// usurped reports that the status API names this sale for another one, too.
func (p *provider) usurped(s *sale) bool {
	for _, other := range p.sales {
		if other.lies == s {
			return true
		}
	}
	return false
}
