package flexpay

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// StatusFault is a way in which the status API misbehaves.
type StatusFault string

// Ways in which the status API misbehaves.
const (
	StatusDown     StatusFault = "down"     // hangs up
	StatusSlow     StatusFault = "slow"     // answers after StatusMillis
	StatusError    StatusFault = "500"      // answers with HTTP status 500
	StatusPending  StatusFault = "pending"  // says PENDING whatever is true
	StatusNotFound StatusFault = "notfound" // has never heard of the sale
	StatusAmount   StatusFault = "amount"   // names one minor unit less
	StatusCurrency StatusFault = "currency" // names another currency
	StatusGarbage  StatusFault = "garbage"  // answers with what is no YAML mapping
)

var statusFaults = []StatusFault{
	StatusDown, StatusSlow, StatusError, StatusPending, StatusNotFound, StatusAmount, StatusCurrency, StatusGarbage,
}

const (
	maxCopies = 500
	maxMillis = 10 * 60 * 1000
)

// Faults are what goes wrong with a payment. The zero value is a payment that goes well.
type Faults struct {
	// DropPostback: postbacks are lost on their way.
	DropPostback bool `json:"dropPostback,omitempty"`
	// LoseAnswer: postbacks arrive, but their answers are lost.
	LoseAnswer bool `json:"loseAnswer,omitempty"`
	// NoRefund: a card sale without an answered postback is not given back.
	NoRefund bool `json:"noRefund,omitempty"`
	// DelayMillis: the first postback is sent so much later, and the browser doesn't wait for it.
	DelayMillis int `json:"delayMillis,omitempty"`
	// Copies: each postback is sent so many times at once.
	Copies int `json:"copies,omitempty"`
	// Forged: so many postbacks with a wrong signature precede the first real one.
	Forged int `json:"forged,omitempty"`
	// SkipRedirect: the browser is not sent back.
	SkipRedirect bool `json:"skipRedirect,omitempty"`
	// Status: what is wrong with the status API, StatusTimes times (0: until the fault is taken back).
	Status       StatusFault `json:"status,omitempty"`
	StatusTimes  int         `json:"statusTimes,omitempty"`
	StatusMillis int         `json:"statusMillis,omitempty"`
}

func (f Faults) check() error {
	for name, field := range map[string]struct{ value, most int }{
		"delayMillis": {f.DelayMillis, maxMillis}, "statusMillis": {f.StatusMillis, maxMillis},
		"copies": {f.Copies, maxCopies}, "forged": {f.Forged, maxCopies}, "statusTimes": {f.StatusTimes, maxMillis},
	} {
		if field.value < 0 || field.value > field.most {
			return fmt.Errorf("%s: must be 0 to %d", name, field.most)
		}
	}
	if f.Status != "" && !slices.Contains(statusFaults, f.Status) {
		return fmt.Errorf("status: %q is none of %v", f.Status, statusFaults)
	}
	return nil
}

// formFaults reads the fault menu of the order page: fields named like the JSON ones, with "fault." in front.
func formFaults(form url.Values) (Faults, error) {
	f := Faults{
		DropPostback: form.Get("fault.dropPostback") != "", LoseAnswer: form.Get("fault.loseAnswer") != "",
		NoRefund: form.Get("fault.noRefund") != "", SkipRedirect: form.Get("fault.skipRedirect") != "",
		Status: StatusFault(form.Get("fault.status")),
	}
	for name, field := range map[string]*int{
		"delayMillis": &f.DelayMillis, "copies": &f.Copies, "forged": &f.Forged,
		"statusTimes": &f.StatusTimes, "statusMillis": &f.StatusMillis,
	} {
		text := strings.TrimSpace(form.Get("fault." + name))
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return Faults{}, fmt.Errorf("%s: not a number", name)
		}
		*field = value
	}
	return f, f.check()
}
