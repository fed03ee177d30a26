package simulation

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Plan is what is decided of a history before it begins.
type Plan struct {
	Seed uint64
	// Length is how long customers come and faults happen.
	Length  time.Duration
	Orders  []OrderPlan
	Storms  []Storm
	Crashes []Crash
	Nights  []Night
	Stops   []Stop
	// Replicas is how many processes of a service share its store, 1 if not said.
	Replicas map[string]int
	// Stock is how many keys each pool has at first; Refills come later.
	Stock   map[string]int
	Refills []Refill
}

// OrderPlan is one order and its customer.
type OrderPlan struct {
	At      time.Duration
	Items   []Item
	Prepaid bool
	// BadAddress: the mail system refuses the recipient for good.
	BadAddress bool
	// CancelAfter is when the merchant cancels the order, if it can; 0: never.
	CancelAfter time.Duration
	Visits      []Visit
}

// Item is a product and how many of it.
type Item struct {
	Product  string
	Quantity int64
}

// Decision is what the customer does on the provider's page.
type Decision string

// Decisions.
const (
	Pay         Decision = "pay"
	Decline     Decision = "decline"
	DeclinePay  Decision = "decline, then pay"
	Abandon     Decision = "abandon"
	PayLess     Decision = "pay less"
	PayCurrency Decision = "pay in another currency"
	// ReusePayment: the provider names another order's sale for this one.
	ReusePayment Decision = "present another order's sale"
)

// Comeback is how the browser comes back.
type Comeback string

// Comebacks.
const (
	Never     Comeback = "never"
	Early     Comeback = "before the postback"
	Usual     Comeback = "after paying"
	Twice     Comeback = "twice"
	ByForgery Comeback = "by a forged return"
)

// Visit is one payment attempt of a customer.
type Visit struct {
	After    time.Duration
	ByPage   bool
	Method   string
	Decision Decision
	Think    time.Duration
	Comeback Comeback
	// Forged: somebody sends a postback with a bad signature meanwhile.
	Forged bool
	// Lag is how long the status API doesn't show the payment yet.
	Lag time.Duration
	// GiveBack is when the provider gives the money back, 0: never; by Chargeback.
	GiveBack   time.Duration
	Chargeback bool
}

// Wind is what a storm blows upon.
type Wind string

// Winds.
const (
	WindStore    Wind = "store"    // operations of a service's store fail before or after
	WindSlow     Wind = "slow"     // they take seconds
	WindBus      Wind = "bus"      // events on their way to a service are lost, late, doubled
	WindPublish  Wind = "publish"  // a service can't publish
	WindCalls    Wind = "calls"    // a service's internal calls fail
	WindStatus   Wind = "status"   // the provider's status API
	WindPostback Wind = "postback" // the way of postbacks
	WindMail     Wind = "mail"
	WindWebhook  Wind = "webhook"
)

// Storm is a time in which something fails at a rate.
type Storm struct {
	Wind Wind
	// Service is empty for winds that are not about one.
	Service  string
	From, To time.Duration
	Rate     float64
}

// Crash kills a service at its nth step towards the world outside its memory.
type Crash struct {
	Service string
	Step    int
	// After: the step is done, but nobody hears of it.
	After bool
	Down  time.Duration
}

// Night is when the whole system is killed.
type Night struct{ At, Length time.Duration }

// Stop is when an operator stops the processes of a service, one after the other.
type Stop struct {
	Service    string
	At, Length time.Duration
}

// Refill adds keys to a pool.
type Refill struct {
	At      time.Duration
	Product string
	Count   int
}

// Products of the merchant.
const (
	productA = "tool"
	productB = "suite"
	letter   = "letter"
)

var pools = []string{productA, productB}

// NewPlan decides the history of a seed.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x51))
	p := Plan{Seed: seed, Stock: map[string]int{}, Replicas: map[string]int{}}
	p.Length = []time.Duration{2 * time.Minute, 5 * time.Minute, 30 * time.Minute, 3 * time.Hour}[r.IntN(4)]
	for range []int{1, 1, 2, 2, 3, 4}[r.IntN(6)] {
		p.Orders = append(p.Orders, planOrder(r, p.Length))
	}
	for _, product := range pools {
		p.Stock[product] = r.IntN(10)
		if chance(r, 0.8) {
			p.Refills = append(p.Refills, Refill{At: between(r, 0, 2*p.Length), Product: product, Count: 1 + r.IntN(12)})
		}
	}
	p.Storms = planStorms(r, p.Length)
	for _, service := range names {
		if !chance(r, 0.4) {
			continue
		}
		for range 1 + r.IntN(3) {
			p.Crashes = append(p.Crashes, Crash{
				Service: service, Step: 1 + r.IntN(1+r.IntN(40)), After: chance(r, 0.5), Down: planDown(r),
			})
		}
	}
	if chance(r, 0.3) {
		p.Nights = append(p.Nights, Night{At: between(r, 0, p.Length), Length: between(r, time.Second, 12*time.Hour)})
	}
	for _, service := range names {
		if chance(r, 0.25) {
			p.Replicas[service] = 2
		}
		if chance(r, 0.15) {
			p.Stops = append(p.Stops, Stop{Service: service, At: between(r, 0, p.Length), Length: planDown(r)})
		}
	}
	slices.SortFunc(p.Stops, func(a, b Stop) int { return cmp.Compare(a.At, b.At) })
	return p
}

func planDown(r *rand.Rand) time.Duration {
	return between(r, 0, []time.Duration{time.Second, 20 * time.Second, 2 * time.Minute, time.Hour}[r.IntN(4)])
}

func planOrder(r *rand.Rand, length time.Duration) OrderPlan {
	o := OrderPlan{At: between(r, 0, length/2), Prepaid: chance(r, 0.15), BadAddress: chance(r, 0.03)}
	if chance(r, 0.3) {
		o.At = between(r, 0, 2*time.Second) // at the same time as others
	}
	products := []string{productA, productB, letter}
	r.Shuffle(len(products), func(i, j int) { products[i], products[j] = products[j], products[i] })
	for _, product := range products[:1+r.IntN(len(products))] {
		o.Items = append(o.Items, Item{product, 1 + r.Int64N(3)})
	}
	if chance(r, 0.05) {
		o.CancelAfter = between(r, time.Second, length)
	}
	if o.Prepaid {
		return o
	}
	for range 1 + r.IntN(2)*r.IntN(2) {
		o.Visits = append(o.Visits, planVisit(r, length))
	}
	return o
}

func planVisit(r *rand.Rand, length time.Duration) Visit {
	v := Visit{
		After: between(r, 0, 20*time.Second), ByPage: chance(r, 0.4), Think: between(r, 0, 40*time.Second), Forged: chance(r, 0.1),
		Method:   []string{"CC", "CC", "IDEAL"}[r.IntN(3)],
		Comeback: []Comeback{Usual, Usual, Usual, Early, Never, Twice, ByForgery}[r.IntN(7)],
	}
	decisions := []Decision{
		Pay, Pay, Pay, Pay, Pay, Pay, Pay, Pay, Pay, Decline, DeclinePay, DeclinePay, Abandon, PayLess, PayCurrency, ReusePayment,
	}
	v.Decision = decisions[r.IntN(len(decisions))]
	if chance(r, 0.1) {
		v.Think = between(r, 0, 2*length)
	}
	if chance(r, 0.1) {
		v.After = between(r, 0, 2*length)
	}
	if chance(r, 0.2) {
		v.Lag = between(r, 0, 5*time.Minute)
	}
	if chance(r, 0.08) {
		v.GiveBack, v.Chargeback = between(r, 0, length+time.Hour), chance(r, 0.3)
	}
	return v
}

func planStorms(r *rand.Rand, length time.Duration) []Storm {
	var out []Storm
	add := func(wind Wind, service string, p float64) {
		if !chance(r, p) {
			return
		}
		from := between(r, 0, length)
		longest := []time.Duration{5 * time.Second, time.Minute, length}[r.IntN(3)]
		out = append(out, Storm{
			Wind: wind, Service: service, From: from, To: min(from+between(r, 0, longest), length),
			Rate: []float64{0.1, 0.3, 0.6, 1}[r.IntN(4)],
		})
	}
	for _, service := range names {
		add(WindStore, service, 0.25)
		add(WindSlow, service, 0.05)
		add(WindBus, service, 0.4)
		add(WindPublish, service, 0.1)
		add(WindCalls, service, 0.1)
	}
	for _, wind := range []Wind{WindStatus, WindPostback, WindMail, WindWebhook} {
		add(wind, "", 0.5)
	}
	slices.SortStableFunc(out, func(a, b Storm) int { return int(a.From - b.From) })
	return out
}
