package vendor

import (
	"errors"
	"net/http"
	"slices"

	"quittance/pkg/money"
	"quittance/services/sandbox/internal/control"
	"quittance/services/sandbox/internal/page"
)

var (
	payPage  = Parse(files, "pay.html")
	leftPage = page.Parse(files, "left.html")
	bookPage = page.Parse(files, "book.html")
)

// shown is how many payments the book's page lists.
const shown = 200

type payView struct {
	Payment
	Vendor, Problem string
	Menu            Menu
}

// ShowPayment shows a payment's page, where the customer pays and chooses what goes wrong.
func (o *Office) ShowPayment(w http.ResponseWriter, status int, p Payment, problem string) {
	page.Write(w, status, payPage, payView{Payment: p, Vendor: o.vendor.Name(), Problem: problem, Menu: MenuOf(o.Book.Faults.Of(p.Reference))})
}

// Routes adds the page of the book, the form of payments' pages, and the control API.
func (o *Office) Routes(mux *http.ServeMux) {
	name := o.vendor.Name()
	mux.HandleFunc("POST /"+name+"/pay", o.pay)
	mux.HandleFunc("GET /"+name+"/{$}", o.showBook)
	prefix := "/control/" + name
	o.Book.Faults.Controls(mux, prefix)
	mux.HandleFunc("GET "+prefix+"/payments", control.Handle(o.list))
	mux.HandleFunc("PUT "+prefix+"/shops/{id}", control.Handle(o.putShop))
	mux.HandleFunc("POST "+prefix+"/actions", control.Handle(o.order))
	mux.HandleFunc("POST "+prefix+"/callbacks", control.Handle(o.orderCallbacks))
}

// pay takes the form of a payment's page: token, action and the fault menu.
func (o *Office) pay(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form is unreadable.", http.StatusBadRequest)
		return
	}
	p, ok := o.Book.Payment(r.PostForm.Get("token"))
	action := Action(r.PostForm.Get("action"))
	if !ok || !slices.Contains([]Action{Pay, Decline, Cancel}, action) {
		http.Error(w, "No such payment or action.", http.StatusNotFound)
		return
	}
	faults, chosen, err := FormFaults(r.PostForm)
	if err != nil {
		o.ShowPayment(w, http.StatusBadRequest, p, "Fault menu: "+err.Error())
		return
	}
	if chosen {
		if err := o.Book.Faults.Choose(p.Reference, faults); err != nil {
			o.Fail(w, r, err)
			return
		}
	}
	p, err = o.Act(r.Context(), p.Token, action, money.Amount{})
	if err != nil && !errors.Is(err, ErrUnchanged) {
		o.Fail(w, r, err)
		return
	}
	if o.Book.Faults.Of(p.Reference).SkipRedirect {
		page.Write(w, http.StatusOK, leftPage, p)
		return
	}
	o.vendor.Leave(w, r, p, action)
}

// Fail answers with a word about a failure of the sandbox itself.
func (o *Office) Fail(w http.ResponseWriter, r *http.Request, err error) {
	o.config.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	http.Error(w, "The sandbox has a problem: "+err.Error(), http.StatusInternalServerError)
}

type bookView struct {
	Vendor   string
	Payments []Payment
	Totals   []Totals
	Shops    []Shop
}

func (o *Office) showBook(w http.ResponseWriter, r *http.Request) {
	payments := o.Book.List("")
	totals, err := totalsOf(payments)
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	page.Write(w, http.StatusOK, bookPage, bookView{o.vendor.Name(), payments[:min(len(payments), shown)], totals, o.Book.Shops()})
}

func (o *Office) list(r *http.Request) (any, error) {
	payments := o.Book.List(r.FormValue("reference"))
	totals, err := totalsOf(payments)
	return List{Payments: payments, Totals: totals}, err
}

func (o *Office) putShop(r *http.Request) (any, error) {
	shop, err := control.Decode[Shop](r)
	if err != nil {
		return nil, err
	}
	if shop.ID != "" && shop.ID != r.PathValue("id") {
		return nil, control.Fail(http.StatusBadRequest, "id: differs from the path")
	}
	shop.ID = r.PathValue("id")
	return nil, o.Book.PutShop(shop)
}

// Order has somebody act on a payment.
type Order struct {
	Reference string `json:"reference"`
	Action    Action `json:"action"`
	// Amount is a decimal, of a refund or a chargeback; empty: all that is left.
	Amount string `json:"amount,omitempty"`
}

// CallbackOrder has callbacks sent, once each; the payment needn't be paid if they are forged.
type CallbackOrder struct {
	Reference string `json:"reference"`
	// Event is the vendor's word; empty: the latest one there was.
	Event string `json:"event,omitempty"`
	// Times is how often, all at once; 1 if 0.
	Times  int  `json:"times,omitempty"`
	Forged bool `json:"forged,omitempty"`
}

// Report is the outcome of both.
type Report struct {
	Payment  Payment   `json:"payment"`
	Attempts []Attempt `json:"attempts"`
}

func (o *Office) named(reference string) (Payment, error) {
	list := o.Book.List(reference)
	if reference == "" || len(list) == 0 {
		return Payment{}, control.Fail(http.StatusNotFound, ErrNoPayment.Error())
	}
	return list[0], nil
}

func (o *Office) order(r *http.Request) (any, error) {
	order, err := control.Decode[Order](r)
	if err != nil {
		return nil, err
	}
	p, err := o.named(order.Reference)
	if err != nil {
		return nil, err
	}
	var amount money.Amount
	if order.Amount != "" {
		if amount, err = money.Parse(p.Amount.Currency, order.Amount); err != nil {
			return nil, control.Fail(http.StatusBadRequest, "amount: "+err.Error())
		}
	}
	before := len(p.Callbacks)
	p, err = o.Act(r.Context(), p.Token, order.Action, amount)
	if errors.Is(err, ErrUnchanged) {
		return nil, control.Fail(http.StatusConflict, "action: the payment is "+p.State)
	}
	if err != nil {
		return nil, err
	}
	p, _ = o.Book.Payment(p.Token)
	return Report{Payment: p, Attempts: p.Callbacks[before:]}, nil
}

func (o *Office) orderCallbacks(r *http.Request) (any, error) {
	order, err := control.Decode[CallbackOrder](r)
	if err != nil {
		return nil, err
	}
	if order.Times < 0 || order.Times > MaxCopies {
		return nil, control.Fail(http.StatusBadRequest, "times: must be 1 to 500")
	}
	p, err := o.named(order.Reference)
	if err != nil {
		return nil, err
	}
	if order.Event == "" && len(p.Events) > 0 {
		order.Event = p.Events[len(p.Events)-1]
	}
	if order.Event == "" && !order.Forged {
		return nil, control.Fail(http.StatusConflict, "event: nothing has happened to this payment")
	}
	attempts := o.send(r.Context(), p, order.Event, max(1, order.Times), order.Forged)
	p, err = o.Book.Update(p.Token, func(p *Payment) error {
		p.Callbacks = append(p.Callbacks, attempts...)
		return nil
	})
	return Report{Payment: p, Attempts: attempts}, err
}
