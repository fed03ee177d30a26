package simulation

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// accounts are the merchant's, as often as customers take them.
var accounts = []string{cardsID, cardsID, cardsID, earlyID, earlyID, bankID}

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
	p.Storms = planStorms(r, p.Orders, p.Length)
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
	for range r.IntN(4) {
		p.Desk = append(p.Desk, between(r, p.Length/4, 2*p.Length))
	}
	if chance(r, 0.08) {
		p.goesOn(r)
	}
	slices.SortFunc(p.Stops, func(a, b Stop) int { return cmp.Compare(a.At, b.At) })
	return p
}

// goesOn makes the history go on until unpaid orders have expired, and some of
// them are paid after all, with faults again.
func (p *Plan) goesOn(r *rand.Rand) {
	p.Late = 90*24*time.Hour + between(r, time.Hour, 48*time.Hour)
	for i := range p.Orders {
		o := &p.Orders[i]
		if o.Prepaid || !chance(r, 0.6) {
			continue
		}
		o.PaysLate = chance(r, 0.7)
		for j := range o.Visits {
			o.Visits[j].Decision = []Decision{Abandon, Decline}[r.IntN(2)]
		}
	}
	for _, s := range planStorms(r, p.Orders, lateLength) {
		s.From, s.To = s.From+p.Late, s.To+p.Late
		p.Storms = append(p.Storms, s)
	}
}

// lateLength is how long faults happen when customers pay late.
const lateLength = 10 * time.Minute

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
	o.Hold = []Resolution{LeaveHold, AcceptHold, RefundHold}[r.IntN(3)]
	if chance(r, 0.15) {
		o.Refund = 1 + r.Int64N(3)
	}
	if o.Prepaid {
		return o
	}
	o.Tabs = chance(r, 0.5)
	for range []int{1, 1, 1, 2, 2, 3}[r.IntN(6)] {
		o.Visits = append(o.Visits, planVisit(r, length))
	}
	return o
}

func planVisit(r *rand.Rand, length time.Duration) Visit {
	v := Visit{
		Account: accounts[r.IntN(len(accounts))], After: between(r, 0, 20*time.Second), ByPage: chance(r, 0.4), Think: between(r, 0, 40*time.Second), Forged: chance(r, 0.1),
		Method:   []string{"CC", "CC", "IDEAL"}[r.IntN(3)],
		Comeback: []Comeback{Usual, Usual, Usual, Early, Never, Twice, ByForgery}[r.IntN(7)],
	}
	decisions := []Decision{
		Pay, Pay, Pay, Pay, Pay, Pay, Pay, Pay, Pay, Pay, Decline, DeclinePay, DeclinePay, Abandon, PayLess, PayCurrency, ReusePayment,
		ReviewAccept, ReviewReject, ReserveTake, ReserveTake, ReserveVoid,
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
	v.Open = between(r, time.Second, []time.Duration{time.Minute, time.Hour, 12 * time.Hour}[r.IntN(3)])
	if chance(r, 0.08) {
		v.Part = between(r, time.Second, length+time.Hour)
	}
	if chance(r, 0.08) {
		v.GiveBack, v.Chargeback = between(r, 0, length+time.Hour), chance(r, 0.3)
	}
	return v
}

// planStorms puts half of the storms where the customers are.
func planStorms(r *rand.Rand, orders []OrderPlan, length time.Duration) []Storm {
	var out []Storm
	add := func(wind Wind, service string, p float64) {
		if !chance(r, p) {
			return
		}
		from := between(r, 0, length)
		if chance(r, 0.5) {
			from = min(orders[r.IntN(len(orders))].At+between(r, 0, time.Minute), length)
		}
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
