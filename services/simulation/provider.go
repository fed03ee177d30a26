package simulation

import (
	"net/url"
	"strconv"
	"sync"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/seal"
)

// The merchant's accounts: two with the simulated provider, of which one delivers
// on the strength of a reservation, and the merchant's own bank account.
const (
	cardsID = "cards"
	earlyID = "early"
	bankID  = "bank"
)

// What the provider knows of the merchant.
const (
	providerURL  = "https://pay.sim.example"
	signatureKey = seal.Secret("simulated-signature-key")
	// refundWindow is longer than the provider takes to give up its postbacks.
	refundWindow = 2 * time.Hour
)

// shops are the provider's names of the merchant's accounts.
var shops = map[string]string{cardsID: "4711", earlyID: "4712"}

// Words of the status API.
const (
	wordPending    = "PENDING"
	wordFrozen     = "FROZEN"
	wordReserved   = "AUTHORIZED"
	wordApproved   = "APPROVED"
	wordVoid       = "CANCELED"
	wordDeclined   = "DECLINED"
	wordRefunded   = "REFUNDED"
	wordChargeback = "CHARGEBACK"
)

// sale is what the provider's book says of one payment.
type sale struct {
	reference string // ours: the attempt
	account   string
	ordered   money.Amount
	captured  money.Amount
	method    string
	word      string
	id, txn   string
	approved  time.Time
	// reserved: the exact amount was reserved at some time.
	reserved bool
	// shown is when the status API begins to show the approval.
	shown time.Time
	// lies is another sale that the status API names instead of this one.
	lies *sale
	// returned is how much went back, in these notices.
	returned money.Amount
	returns  []notice
	// acked: one of our answers to the purchase's postback arrived, and was OK.
	acked bool
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
func (p *provider) enter(address, account string) (*sale, error) {
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
	return p.sale(params["referenceID"], account, ordered), nil
}

func (p *provider) sale(reference, account string, ordered money.Amount) *sale {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sales[reference]
	if s == nil {
		s = &sale{reference: reference, account: account, ordered: ordered, word: wordPending}
		p.sales[reference] = s
		p.order = append(p.order, reference)
	}
	return s
}

// change alters a sale.
func (p *provider) change(s *sale, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// decline notes a failed payment.
func (p *provider) decline(s *sale) {
	p.change(s, func() {
		if s.approved.IsZero() {
			s.word = wordDeclined
		}
	})
}

// open notes that the payment is frozen for a review, or that the money is
// reserved only.
func (p *provider) open(s *sale, v Visit, word string) {
	p.change(s, func() {
		p.number(s)
		s.word, s.method, s.reserved = word, v.Method, word == wordReserved
		s.shown = time.Now().Add(v.Lag)
	})
}

// void gives up a reservation.
func (p *provider) void(s *sale) {
	over := false
	p.change(s, func() {
		if over = !s.approved.IsZero(); !over {
			s.word = wordVoid
		}
	})
	if over {
		return
	}
	p.tell(s, notice{event: "void", amount: s.ordered})
}

// number gives the sale its ids.
func (p *provider) number(s *sale) {
	if s.id == "" {
		p.count++
		s.id, s.txn = strconv.Itoa(900000+p.count), strconv.Itoa(100000+p.count)
	}
}

// approve takes the customer's money and tells us.
func (p *provider) approve(s *sale, v Visit, amount money.Amount) bool {
	already := false
	p.change(s, func() {
		if already = !s.approved.IsZero() || s.word == wordVoid; already {
			return
		}
		p.number(s)
		s.word, s.captured, s.method = wordApproved, amount, v.Method
		s.approved = time.Now()
		s.shown = s.approved.Add(v.Lag)
		if v.Decision == ReusePayment {
			for _, ref := range p.order {
				if other := p.sales[ref]; other != s && other.account == s.account && other.took() && other.lies == nil {
					s.lies = other
				}
			}
		}
	})
	if already {
		return false
	}
	p.w.spawn(func() { p.tell(s, notice{amount: amount}) })
	if v.Part > 0 && amount.Minor > 1 {
		p.w.spawn(func() {
			p.w.rest(v.Part)
			p.giveBack(s, money.Amount{Minor: 1 + s.captured.Minor/3, Currency: s.captured.Currency}, "credit")
		})
	}
	if v.GiveBack > 0 {
		p.w.spawn(func() {
			p.w.rest(v.GiveBack)
			event := "credit"
			if v.Chargeback {
				event = "chargeback"
			}
			p.giveBack(s, s.captured, event)
		})
	}
	return true
}

// giveBack returns money of a sale, all that is left if there isn't more, and
// tells us. While some is left the status API goes on to say that it is approved.
func (p *provider) giveBack(s *sale, amount money.Amount, event string) {
	n := notice{event: event}
	p.change(s, func() {
		if s.word != wordApproved {
			return
		}
		n.amount = money.Amount{Minor: min(amount.Minor, s.captured.Minor-s.returned.Minor), Currency: s.captured.Currency}
		n.nth = len(s.returns) + 1
		s.returns = append(s.returns, n)
		s.returned = money.Amount{Minor: s.returned.Minor + n.amount.Minor, Currency: n.amount.Currency}
		if s.returned == s.captured {
			s.word = wordRefunded
			if event == "chargeback" {
				s.word = wordChargeback
			}
		}
	})
	if n.nth > 0 && s.account != bankID {
		p.w.note("provider: %s of a sale, %s of %s", event, n.amount, s.captured)
		p.tell(s, n)
	}
}
