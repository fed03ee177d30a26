package simulation

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/seal"
)

// The merchant's account at the provider.
const (
	accountID    = "cards"
	shopID       = "4711"
	providerURL  = "https://pay.sim.example"
	signatureKey = seal.Secret("simulated-signature-key")
	// refundWindow is longer than the provider takes to give up its postbacks.
	refundWindow = 2 * time.Hour
)

// Words of the status API.
const (
	wordPending    = "PENDING"
	wordApproved   = "APPROVED"
	wordDeclined   = "DECLINED"
	wordRefunded   = "REFUNDED"
	wordChargeback = "CHARGEBACK"
)

// sale is what the provider's book says of one payment.
type sale struct {
	reference string // ours: the attempt
	ordered   money.Amount
	captured  money.Amount
	method    string
	word      string
	id, txn   string
	approved  time.Time
	// shown is when the status API begins to show the approval.
	shown time.Time
	// lies is another sale that the status API names instead of this one.
	lies *sale
	// returned is how much went back.
	returned money.Amount
	// acked: one of our answers to the purchase's postback arrived, and was OK.
	acked bool
	// heard: one of our answers to the news that it went back arrived, and was OK.
	heard bool
}

// took reports that the provider says it took exactly what was ordered, once at
// least. That several sales may name one transaction is checked apart.
func (s *sale) took() bool {
	return !s.approved.IsZero() && (s.captured == s.ordered || s.lies != nil)
}

// keeps reports that the merchant still has the money.
func (s *sale) keeps() bool { return s.word == wordApproved }

// transaction is the one that the status API names.
func (s *sale) transaction() string {
	if s.lies != nil {
		return s.lies.id
	}
	return s.id
}

// acknowledgement is an OK that we gave, whether it arrived or not.
type acknowledgement struct{ reference, event string }

// provider keeps the book.
type provider struct {
	w     *world
	mu    sync.Mutex
	sales map[string]*sale
	order []string
	acks  []acknowledgement
	count int
}

// enter takes a customer's order page; the same reference is the same sale.
func (p *provider) enter(address string) (*sale, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	params, err := flexpay.ParamsOf(u.Query())
	if err != nil {
		return nil, err
	}
	if err := flexpay.VerifyRequest(signatureKey, params); err != nil {
		return nil, err
	}
	ordered, err := money.Parse(params["priceCurrency"], params["priceAmount"])
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	reference := params["referenceID"]
	s := p.sales[reference]
	if s == nil {
		s = &sale{reference: reference, ordered: ordered, word: wordPending}
		p.sales[reference] = s
		p.order = append(p.order, reference)
	}
	return s, nil
}

// change alters a sale.
func (p *provider) change(s *sale, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// decline notes a failed payment.
func (p *provider) decline(s *sale) { p.change(s, func() { s.word = wordDeclined }) }

// approve takes the customer's money and tells us.
func (p *provider) approve(s *sale, v Visit, amount money.Amount) bool {
	already := false
	p.change(s, func() {
		if already = !s.approved.IsZero(); already {
			return
		}
		p.count++
		s.word, s.captured, s.method = wordApproved, amount, v.Method
		s.id, s.txn = strconv.Itoa(900000+p.count), strconv.Itoa(100000+p.count)
		s.approved = time.Now()
		s.shown = s.approved.Add(v.Lag)
		if v.Decision == ReusePayment {
			for _, ref := range p.order {
				if other := p.sales[ref]; other != s && other.took() && other.lies == nil {
					s.lies = other
				}
			}
		}
	})
	if already {
		return false
	}
	p.w.spawn(func() { p.tell(s, "") })
	if v.GiveBack > 0 {
		p.w.spawn(func() {
			p.w.rest(v.GiveBack)
			p.giveBack(s, v.Chargeback)
		})
	}
	return true
}

// giveBack returns the money of a sale and tells us.
func (p *provider) giveBack(s *sale, chargeback bool) {
	word, event := wordRefunded, "credit"
	if chargeback {
		word, event = wordChargeback, "chargeback"
	}
	done := false
	p.change(s, func() {
		if done = s.word == wordApproved; done {
			s.word, s.returned = word, s.captured
		}
	})
	if done {
		p.w.note("provider: %s of a sale", event)
		p.tell(s, event)
	}
}

// retries are the provider's pauses before it tries a postback again.
var retries = []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour}

// tell tries a postback until it is answered OK. A card sale that never is goes back.
func (p *provider) tell(s *sale, event string) {
	for try := 0; ; try++ {
		if p.postback(s, event) {
			p.change(s, func() {
				s.acked = s.acked || event == ""
				s.heard = s.heard || event != ""
			})
			return
		}
		if try == len(retries) {
			break
		}
		p.w.rest(retries[try] + between(p.w.ask("postback pause"), 0, time.Second))
	}
	if event == "" && s.method == "CC" {
		p.change(s, func() {
			if s.word == wordApproved {
				s.word, s.returned = wordRefunded, s.captured
				p.w.note("provider: card sale given back, its postback was never answered")
			}
		})
	}
}

// postback sends one round, and reports whether an OK came back.
func (p *provider) postback(s *sale, event string) bool {
	params := flexpay.Params{
		"saleID": s.id, "transactionID": s.txn, "referenceID": s.reference, "shopID": shopID, "type": "purchase",
		"priceAmount": s.captured.Decimal(), "priceCurrency": s.captured.Currency, "paymentMethod": s.method,
	}
	if event != "" {
		params["event"], params["parentID"], params["transactionID"] = event, s.txn, s.txn+"9"
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
		p.w.note("postback %q lost", event)
		return false
	case fails && how == 1:
		p.w.rest(between(r, time.Second, 3*time.Minute))
	case fails && how == 2: // both at once
		p.w.spawn(func() { p.deliver(s, event, query) })
	}
	ok := p.deliver(s, event, query)
	if fails && how == 3 {
		p.w.note("the answer to a postback is lost")
		return false
	}
	return ok
}

// deliver brings one postback to callback-ingest.
func (p *provider) deliver(s *sale, event, query string) bool {
	got := p.w.request(p.w.nodes[callbackName], http.MethodGet, "/callbacks/flexpay/"+accountID+"?"+query, "")
	ok := got.status == http.StatusOK && got.body == "OK"
	p.w.note("postback %q answered %d %s", event, got.status, got.body)
	if ok {
		p.change(s, func() { p.acks = append(p.acks, acknowledgement{s.reference, event}) })
	}
	return ok
}
