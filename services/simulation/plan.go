package simulation

import "time"

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
	// Desk is when the merchant looks after orders.
	Desk []time.Duration
	// Late is when customers of expired orders pay, 0: the history ends before.
	Late time.Duration
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
	// Tabs: the visits are made in several browser tabs at once.
	Tabs bool
	// Hold is what the merchant decides about a mismatch; Refund is the part of the
	// price that the merchant gives back, as a divisor, 0: nothing.
	Hold   Resolution
	Refund int64
	// PaysLate: the customer pays an order that has expired.
	PaysLate bool
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
	// At first the provider freezes the payment, then it decides.
	ReviewAccept Decision = "pay, reviewed and accepted"
	ReviewReject Decision = "pay, reviewed and rejected"
	// At first the money is reserved only.
	ReserveTake Decision = "reserve, taken later"
	ReserveVoid Decision = "reserve, given up later"
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
	After time.Duration
	// Account is the merchant's account with a provider.
	Account  string
	ByPage   bool
	Method   string
	Decision Decision
	Think    time.Duration
	Comeback Comeback
	// Forged: somebody sends a postback with a bad signature meanwhile.
	Forged bool
	// Lag is how long the status API doesn't show the payment yet.
	Lag time.Duration
	// Open is how long a review or a reservation lasts, or how long a transfer
	// takes until the merchant sees it.
	Open time.Duration
	// Part is when the provider gives a part of the money back, 0: never.
	Part time.Duration
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
