// Package vendor owns what the simulated payment providers have in common: what can go wrong with a payment and the menu to
// choose it from, a book of payments that survives a kill, callbacks that are sent, lost, doubled and forged, and a status
// API that misbehaves.
//
// It takes a vendor's payments and requests and gives them back as they were or spoiled; what a vendor says and in which
// words is the vendor's own.
package vendor

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/money"
)

// StatusFault is a way in which the status API misbehaves.
type StatusFault string

// Ways in which the status API misbehaves.
const (
	StatusDown     StatusFault = "down"     // hangs up
	StatusSlow     StatusFault = "slow"     // answers after StatusMillis
	StatusError    StatusFault = "500"      // answers with HTTP status 500
	StatusPending  StatusFault = "pending"  // says that nothing has happened whatever is true
	StatusNotFound StatusFault = "notfound" // has never heard of the payment
	StatusAmount   StatusFault = "amount"   // names one minor unit less
	StatusCurrency StatusFault = "currency" // names another currency, where the vendor's answers name one
	StatusGarbage  StatusFault = "garbage"  // answers with what is no answer
)

// StatusFaults are all of them.
var StatusFaults = []StatusFault{
	StatusDown, StatusSlow, StatusError, StatusPending, StatusNotFound, StatusAmount, StatusCurrency, StatusGarbage,
}

// Freezes: a payment is looked at by people of the vendor, who accept or reject it after FreezeMillis.
const (
	FreezeAccept = "accept"
	FreezeReject = "reject"
)

// Limits of faults.
const (
	MaxCopies = 500
	maxMillis = 10 * 60 * 1000
)

// Faults are what goes wrong with a payment. The zero value is a payment that goes well. A postback is any callback here.
type Faults struct {
	// DropPostback: postbacks are lost on their way.
	DropPostback bool `json:"dropPostback,omitempty"`
	// LoseAnswer: postbacks arrive, but their answers are lost.
	LoseAnswer bool `json:"loseAnswer,omitempty"`
	// NoRefund: a card sale without an answered postback is not given back (FlexPay).
	NoRefund bool `json:"noRefund,omitempty"`
	// Reorder: postbacks about one payment come in the wrong order, the first one after the second.
	Reorder bool `json:"reorder,omitempty"`
	// DelayMillis: the first postback is sent so much later, and the browser doesn't wait for it.
	DelayMillis int `json:"delayMillis,omitempty"`
	// Copies: each postback is sent so many times at once.
	Copies int `json:"copies,omitempty"`
	// Forged: so many postbacks that the vendor has not sent precede the first real one.
	Forged int `json:"forged,omitempty"`
	// SkipRedirect: the browser is not sent back, as if it had been closed.
	SkipRedirect bool `json:"skipRedirect,omitempty"`
	// Freeze: accept or reject the payment FreezeMillis later, instead of taking it at once.
	Freeze       string `json:"freeze,omitempty"`
	FreezeMillis int    `json:"freezeMillis,omitempty"`
	// RefundMillis: the money is given back by itself so much after it was taken; 0: it isn't.
	RefundMillis int `json:"refundMillis,omitempty"`
	// Status: what is wrong with the status API, StatusTimes times (0: until the fault is taken back).
	Status       StatusFault `json:"status,omitempty"`
	StatusTimes  int         `json:"statusTimes,omitempty"`
	StatusMillis int         `json:"statusMillis,omitempty"`
}

// Check says what can't be done.
func (f Faults) Check() error {
	for name, field := range map[string]struct{ value, most int }{
		"delayMillis": {f.DelayMillis, maxMillis}, "statusMillis": {f.StatusMillis, maxMillis},
		"freezeMillis": {f.FreezeMillis, maxMillis}, "refundMillis": {f.RefundMillis, maxMillis},
		"copies": {f.Copies, MaxCopies}, "forged": {f.Forged, MaxCopies}, "statusTimes": {f.StatusTimes, maxMillis},
	} {
		if field.value < 0 || field.value > field.most {
			return fmt.Errorf("%s: must be 0 to %d", name, field.most)
		}
	}
	if f.Status != "" && !slices.Contains(StatusFaults, f.Status) {
		return fmt.Errorf("status: %q is none of %v", f.Status, StatusFaults)
	}
	if f.Freeze != "" && f.Freeze != FreezeAccept && f.Freeze != FreezeReject {
		return errors.New("freeze: must be accept or reject")
	}
	return nil
}

// Delay is DelayMillis as a duration.
func (f Faults) Delay() time.Duration { return time.Duration(f.DelayMillis) * time.Millisecond }

// FormFaults reads the fault menu: fields named like the JSON ones, with "fault." in front. false: there was no menu.
func FormFaults(form url.Values) (Faults, bool, error) {
	if !form.Has("faults") {
		return Faults{}, false, nil
	}
	f := Faults{
		DropPostback: form.Get("fault.dropPostback") != "", LoseAnswer: form.Get("fault.loseAnswer") != "",
		NoRefund: form.Get("fault.noRefund") != "", SkipRedirect: form.Get("fault.skipRedirect") != "",
		Reorder: form.Get("fault.reorder") != "", Freeze: form.Get("fault.freeze"), Status: StatusFault(form.Get("fault.status")),
	}
	for name, field := range map[string]*int{
		"delayMillis": &f.DelayMillis, "copies": &f.Copies, "forged": &f.Forged, "freezeMillis": &f.FreezeMillis,
		"refundMillis": &f.RefundMillis, "statusTimes": &f.StatusTimes, "statusMillis": &f.StatusMillis,
	} {
		text := strings.TrimSpace(form.Get("fault." + name))
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return Faults{}, true, fmt.Errorf("%s: not a number", name)
		}
		*field = value
	}
	return f, true, f.Check()
}

// Spoil does what a status fault does to any vendor's answer; done says that there is nothing more to answer. What is wrong
// with the answer's content is left to the vendor.
func Spoil(w http.ResponseWriter, r *http.Request, fault StatusFault, faults Faults) (done bool) {
	switch fault {
	case StatusDown:
		hangUp(w)
	case StatusError:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	case StatusGarbage:
		_, _ = w.Write([]byte("<html><body>Scheduled maintenance</body></html>")) // a reader that left needs no word
	case StatusSlow:
		return !Sleep(r.Context(), time.Duration(faults.StatusMillis)*time.Millisecond)
	case StatusNotFound, StatusPending, StatusAmount, StatusCurrency, "":
		return false
	}
	return true
}

// hangUp ends the connection in the middle of the status line. Had nothing been said, clients would silently ask again.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = conn.Write([]byte("HTTP/1.1 2")) // that it arrives is not the point
	_ = conn.Close()
}

// Told is an amount as a status API with a fault names it.
func Told(amount money.Amount, fault StatusFault) money.Amount {
	switch fault {
	case StatusAmount:
		amount.Minor--
	case StatusCurrency:
		if amount.Currency == "USD" {
			amount.Currency = "EUR"
		} else {
			amount.Currency = "USD"
		}
	case StatusDown, StatusSlow, StatusError, StatusPending, StatusNotFound, StatusGarbage, "":
	}
	return amount
}

// Fields are the fault menu's fields as a customer would fill them in; FormFaults reads them.
func (f Faults) Fields() map[string]string {
	fields := map[string]string{"fault.freeze": f.Freeze, "fault.status": string(f.Status)}
	for name, on := range map[string]bool{
		"dropPostback": f.DropPostback, "loseAnswer": f.LoseAnswer, "noRefund": f.NoRefund, "reorder": f.Reorder, "skipRedirect": f.SkipRedirect,
	} {
		if on {
			fields["fault."+name] = "on"
		}
	}
	for name, value := range map[string]int{
		"delayMillis": f.DelayMillis, "copies": f.Copies, "forged": f.Forged, "freezeMillis": f.FreezeMillis,
		"refundMillis": f.RefundMillis, "statusTimes": f.StatusTimes, "statusMillis": f.StatusMillis,
	} {
		fields["fault."+name] = strconv.Itoa(value)
	}
	return fields
}
