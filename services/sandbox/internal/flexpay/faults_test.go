package flexpay

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/provider"
	wire "quittance/pkg/provider/flexpay"

	"quittance/services/sandbox/internal/vendor"
)

func TestDroppedPostback(t *testing.T) {
	w := newWorld(t)
	location, _ := w.act(w.order(w.attempt("pay_1")), "pay", "faults", "menu", "fault.dropPostback", "on", "fault.noRefund", "on")
	if location == nil {
		t.Error("the browser isn't sent back")
	}
	sale := w.eventually("pay_1", "given up", func(s Sale) bool { return s.Problem != "" })
	if sale.State != Approved {
		t.Errorf("book: %s", describe(sale))
	}
	if callbacks, refused := w.received(); len(callbacks)+len(refused) != 0 {
		t.Errorf("something arrived: %v %v", callbacks, refused)
	}
}

func TestLostAnswer(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay", "faults", "menu", "fault.loseAnswer", "on")
	w.eventually("pay_1", "given back", func(s Sale) bool { return s.State == Refunded })
	if callbacks, _ := w.received(); len(callbacks) != 3 || callbacks[0].DedupeKey != callbacks[2].DedupeKey {
		t.Errorf("callbacks %+v, want three equal ones", callbacks)
	}
}

func TestCopiesForgedAndSkippedRedirect(t *testing.T) {
	w := newWorld(t)
	location, body := w.act(w.order(w.attempt("pay_1")), "pay", "faults", "menu", "fault.copies", "50", "fault.forged", "3", "fault.skipRedirect", "on")
	if location != nil || !strings.Contains(body, "9.99 EUR paid") {
		t.Errorf("sent to %v\n%s", location, body)
	}
	callbacks, refused := w.received()
	if len(callbacks) != 50 || len(refused) != 3 || !errors.Is(refused[0], provider.ErrUnauthentic) {
		t.Errorf("%d callbacks, refused %v", len(callbacks), refused)
	}
	if sale := w.sale("pay_1"); len(sale.Postbacks) != 53 || sale.Tries != 1 || !sale.Acknowledged {
		t.Errorf("book: %s", describe(sale))
	}
}

func TestDelayedPostback(t *testing.T) {
	w := newWorld(t)
	if location, _ := w.act(w.order(w.attempt("pay_1")), "pay", "faults", "menu", "fault.delayMillis", "300"); location == nil {
		t.Error("the browser isn't sent back")
	}
	if callbacks, _ := w.received(); len(callbacks) != 0 {
		t.Error("the postback came before the browser")
	}
	w.eventually("pay_1", "acknowledged", func(s Sale) bool { return s.Acknowledged })
}

func TestStatusFaults(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	ask := func() (provider.Report, error) {
		return w.adapter.Status(t.Context(), w.account(), provider.StatusQuery{Reference: "pay_1"})
	}
	for _, fault := range []vendor.StatusFault{vendor.StatusDown, vendor.StatusError, vendor.StatusGarbage} {
		w.control(http.MethodPut, "/faults", vendor.Faults{Status: fault, StatusTimes: 2}, nil, http.StatusNoContent)
		for range 2 {
			if got, err := ask(); err == nil {
				t.Errorf("%s: %+v, want an error", fault, got)
			}
		}
		if got, err := ask(); err != nil || got.State != provider.Paid {
			t.Errorf("%s is over, but: %+v, %v", fault, got, err)
		}
	}
	for fault, good := range map[vendor.StatusFault]func(provider.Report) bool{
		vendor.StatusPending:  func(r provider.Report) bool { return r.State == provider.Pending && r.Raw == "PENDING" },
		vendor.StatusNotFound: func(r provider.Report) bool { return r.State == provider.Pending && r.Raw == "NOTFOUND" },
		vendor.StatusAmount:   func(r provider.Report) bool { return r.State == provider.Paid && r.Amount.Minor == 998 },
		vendor.StatusCurrency: func(r provider.Report) bool { return r.State == provider.Paid && r.Amount.Currency == "USD" },
	} {
		w.control(http.MethodPut, "/faults/pay_1", vendor.Faults{Status: fault}, nil, http.StatusNoContent)
		if got, err := ask(); err != nil || !good(got) {
			t.Errorf("%s: %+v, %v", fault, got, err)
		}
	}
	w.control(http.MethodPut, "/faults/pay_1", vendor.Faults{Status: vendor.StatusSlow, StatusMillis: 100}, nil, http.StatusNoContent)
	begun := time.Now()
	if got, err := ask(); err != nil || got.State != provider.Paid || time.Since(begun) < 100*time.Millisecond {
		t.Errorf("slow: %+v, %v after %s", got, err, time.Since(begun))
	}
	w.control(http.MethodDelete, "/faults", nil, nil, http.StatusNoContent)
	if got, err := ask(); err != nil || got.State != provider.Paid {
		t.Errorf("without faults: %+v, %v", got, err)
	}
}

func TestStatusRefuses(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	question := func(key string, params wire.Params) string {
		_, body := w.get(w.vendor.URL + Prefix + wire.StatusPath + "?" + wire.SignRequest(testSecret(key), params).Query())
		return body
	}
	for name, body := range map[string]string{
		"wrong key":    question("other", wire.Params{"version": "4", "shopID": "1001", "referenceID": "pay_1"}),
		"unknown shop": question("aSecretKey", wire.Params{"version": "4", "shopID": "1002", "referenceID": "pay_1"}),
		"old version":  question("aSecretKey", wire.Params{"version": "3.5", "shopID": "1001", "referenceID": "pay_1"}),
		"no name":      question("aSecretKey", wire.Params{"version": "4", "shopID": "1001"}),
		"two names":    question("aSecretKey", wire.Params{"version": "4", "shopID": "1001", "referenceID": "pay_1", "saleID": "1"}),
	} {
		if !strings.Contains(body, "response: ERROR") || strings.Contains(body, "APPROVED") {
			t.Errorf("%s: %s", name, body)
		}
	}
	w.setAccount("1001", "other")
	if got := w.status("pay_1"); got.State != provider.Pending || !got.Unknown || got.Detail != "Invalid signature" {
		t.Errorf("status asked with another key: %+v", got)
	}
}

func TestStatusBySaleID(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	got, err := w.adapter.Status(t.Context(), w.account(), provider.StatusQuery{TransactionID: w.sale("pay_1").SaleID})
	if err != nil || got.State != provider.Paid || got.Reference != "pay_1" {
		t.Errorf("status %+v, %v", got, err)
	}
}

func TestOrderRefuses(t *testing.T) {
	w := newWorld(t)
	good := wire.Params{"version": "4", "shopID": "1001", "type": "purchase", "priceAmount": "9.99", "priceCurrency": "EUR",
		"description": "x", "referenceID": "pay_1", "successURL": "https://shop.example/return"}
	open := func(params wire.Params) (int, string) {
		resp, body := w.get(w.vendor.URL + Prefix + wire.OrderPath + "?" + params.Query())
		return resp.StatusCode, body
	}
	if status, body := open(wire.SignRequest("aSecretKey", good)); status != http.StatusOK {
		t.Fatalf("good order: %d %s", status, body)
	}
	for name, value := range map[string]string{
		"version": "3.5", "type": "subscription", "priceAmount": "9.9", "priceCurrency": "JPY", "description": strings.Repeat("x", 101),
		"paymentMethod": "BTC", "successURL": "/return", "declineURL": "https://shop.example/" + strings.Repeat("x", 255),
		"custom1": strings.Repeat("x", 256), "email": strings.Repeat("x", 101), "shopID": "1", "signature": "00",
	} {
		params := wire.Params{}
		for n, v := range good {
			params[n] = v
		}
		params[name] = value
		if name != "signature" {
			params = wire.SignRequest("aSecretKey", params)
		}
		if status, body := open(params); status != http.StatusBadRequest || !strings.Contains(body, name) {
			t.Errorf("wrong %s: %d %s", name, status, body)
		}
	}
	zero := wire.SignRequest("aSecretKey", wire.Params{"version": "4", "shopID": "1001", "type": "purchase", "priceAmount": "0.00",
		"priceCurrency": "EUR", "description": "x"})
	if status, body := open(zero); status != http.StatusBadRequest || !strings.Contains(body, "priceAmount") {
		t.Errorf("nothing to pay: %d %s", status, body)
	}
	other := w.attempt("pay_1")
	redirect, err := w.adapter.Redirect(w.account(), other)
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := w.get(redirect.URL); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "used for another order") {
		t.Errorf("reference used again: %d %s", resp.StatusCode, body)
	}
	if resp, _ := w.get(redirect.URL + "&version=4"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("repeated parameter: %d", resp.StatusCode)
	}
}

func TestPayRefuses(t *testing.T) {
	w := newWorld(t)
	body := w.order(w.attempt("pay_1"))
	for name, text := range map[string]func() string{
		"No such action":            func() string { _, s := w.act(body, "steal"); return s },
		"No such order":             func() string { _, s := w.act(body, "pay", "token", "x"); return s },
		"copies: not a number":      func() string { _, s := w.act(body, "pay", "faults", "menu", "fault.copies", "many"); return s },
		"copies: must be 0 to 500":  func() string { _, s := w.act(body, "pay", "faults", "menu", "fault.copies", "501"); return s },
		"is none of":                func() string { _, s := w.act(body, "pay", "faults", "menu", "fault.status", "odd"); return s },
		"delayMillis: must be 0 to": func() string { _, s := w.act(body, "pay", "faults", "menu", "fault.delayMillis", "-1"); return s },
	} {
		if got := text(); !strings.Contains(got, name) {
			t.Errorf("want %q, got\n%s", name, got)
		}
	}
	if sale := w.sale("pay_1"); sale.State != Pending {
		t.Errorf("book: %s", describe(sale))
	}
}

func TestSuccessURLWithQuery(t *testing.T) {
	w := newWorld(t)
	params := wire.SignRequest("aSecretKey", wire.Params{"version": "4", "shopID": "1001", "type": "purchase", "priceAmount": "1.00",
		"priceCurrency": "USD", "description": "x", "successURL": "https://shop.example/return?a=1", "custom1": "y"})
	_, body := w.get(w.vendor.URL + Prefix + wire.OrderPath + "?" + params.Query())
	location, _ := w.act(body, "pay")
	if location == nil || location.Query().Get("a") != "1" || location.Query().Get("custom1") != "y" {
		t.Fatalf("sent to %v", location)
	}
	query := url.Values{}
	for name, value := range location.Query() {
		if name != "a" {
			query[name] = value
		}
	}
	if _, err := w.adapter.ParseReturn(w.account(), query); err != nil {
		t.Errorf("the data are not signed by themselves: %v", err)
	}
}

// TestReviewsEndByThemselves: and only an accepted one is told and takes money.
func TestReviewsEndByThemselves(t *testing.T) {
	w := newWorld(t)
	for reference, c := range map[string]struct {
		freeze string
		want   State
	}{"pay_accept": {vendor.FreezeAccept, Approved}, "pay_reject": {vendor.FreezeReject, Declined}} {
		w.control(http.MethodPut, "/faults/"+reference, vendor.Faults{Freeze: c.freeze, FreezeMillis: 200}, nil, http.StatusNoContent)
		w.act(w.order(w.attempt(reference)), "pay")
		if sale := w.sale(reference); sale.State != Review || sale.Captured.Minor != 0 {
			t.Errorf("%s: %+v", reference, sale)
		}
		w.eventually(reference, "ended", func(sale Sale) bool { return sale.State == c.want && sale.Acknowledged == (c.want == Approved) })
	}
}

// TestMoneyGoesBackByItself: in order, or the credit before the purchase.
func TestMoneyGoesBackByItself(t *testing.T) {
	w := newWorld(t)
	for reference, c := range map[string]struct {
		faults vendor.Faults
		events string
	}{
		"pay_back":  {vendor.Faults{RefundMillis: 100}, "[ credit]"},
		"pay_first": {vendor.Faults{RefundMillis: 100, Reorder: true}, "[credit ]"},
	} {
		w.control(http.MethodPut, "/faults/"+reference, c.faults, nil, http.StatusNoContent)
		w.act(w.order(w.attempt(reference)), "pay")
		w.eventually(reference, "ended", func(sale Sale) bool { return sale.State == Refunded && len(sale.Postbacks) == 2 })
		var events []string
		for _, a := range w.sale(reference).Postbacks {
			events = append(events, a.Event)
		}
		if got := fmt.Sprint(events); got != c.events {
			t.Errorf("%s: told %q, want %q", reference, got, c.events)
		}
	}
}
