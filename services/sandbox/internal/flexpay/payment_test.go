package flexpay

import (
	"net/http"
	"strings"
	"testing"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/seal"

	"quittance/services/sandbox/internal/vendor"
)

func TestPay(t *testing.T) {
	w := newWorld(t)
	if got := w.status("pay_1"); got.State != provider.Pending || got.Raw != "NOTFOUND" {
		t.Errorf("before the order: %+v", got)
	}
	body := w.order(w.attempt("pay_1"))
	for _, word := range []string{"9.99 EUR", "Two licences", "pay_1", "Fault menu"} {
		if !strings.Contains(body, word) {
			t.Errorf("order page lacks %q", word)
		}
	}
	if got := w.status("pay_1"); got.State != provider.Pending || got.Raw != "PENDING" || got.Unknown {
		t.Errorf("on the order page: %+v", got)
	}
	location, _ := w.act(body, "pay", "brand", "MASTERCARD")
	if location == nil || location.Path != "/return/pay_1" {
		t.Fatalf("sent to %v", location)
	}
	callbacks, refused := w.received()
	if len(callbacks) != 1 || len(refused) != 0 || callbacks[0].Claim != provider.ClaimPaid || callbacks[0].Reference != "pay_1" {
		t.Errorf("before the browser is back: callbacks %+v, refused %v", callbacks, refused)
	}
	back, err := w.adapter.ParseReturn(w.account(), location.Query())
	if err != nil || back.Failed || back.Canceled {
		t.Errorf("return: %+v, %v", back, err)
	}
	query := location.Query()
	if query.Get("CCBrand") != "MASTERCARD" || query.Get("truncatedPAN") != "XXXXXXXXXXXX1234" {
		t.Errorf("return's data %v", query)
	}
	got := w.status("pay_1")
	want := provider.Report{State: provider.Paid, Reference: "pay_1", TransactionID: query.Get("saleID"),
		Amount: money.Amount{Minor: 999, Currency: "EUR"}, AckOrRefund: true, Raw: "APPROVED",
		Payer: provider.Payer{Name: "Jo Doe", AddressLine1: "Main Street 1: rear", City: "Utrecht", CountryISO: "NL"}, OneClickToken: seal.Secret(query.Get("oneClickToken"))}
	if got != want || got.OneClickToken == "" || got.TransactionID != callbacks[0].TransactionID {
		t.Errorf("status %+v, want %+v", got, want)
	}
	sale := w.sale("pay_1")
	if !sale.Acknowledged || sale.Captured.Minor != 999 || sale.Refunded.Minor != 0 || len(sale.Postbacks) != 1 || sale.Problem != "" {
		t.Errorf("book: %s", describe(sale))
	}
}

// TestOneClick: the token of a card sale is known at its shop, and pays without a card; another one is not.
func TestOneClick(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	token := w.status("pay_1").OneClickToken
	for reference, with := range map[string]seal.Secret{"pay_2": token, "pay_3": "made-up"} {
		a := w.attempt(reference)
		a.OneClickToken = with
		body := w.order(a)
		if known := strings.Contains(body, "card of the last purchase"); known != (with == token) {
			t.Errorf("%s: token known: %v", reference, known)
		}
		if w.act(body, "pay"); w.status(reference).State != provider.Paid {
			t.Errorf("%s: %+v", reference, w.status(reference))
		}
	}
}

func TestPayingTwiceChargesOnce(t *testing.T) {
	w := newWorld(t)
	body := w.order(w.attempt("pay_1"))
	first, _ := w.act(body, "pay")
	second, _ := w.act(body, "pay") // the back button
	if second == nil || second.String() != first.String() {
		t.Errorf("second click leads to %v, first to %v", second, first)
	}
	again := w.order(w.attempt("pay_1")) // a repeated startorder
	if !strings.Contains(again, "This order is paid.") || strings.Contains(again, `value="decline"`) {
		t.Errorf("repeated order page:\n%s", again)
	}
	if third, _ := w.act(again, "pay"); third == nil || third.String() != first.String() {
		t.Errorf("the way back leads to %v", third)
	}
	if third, text := w.act(body, "decline"); third != nil || !strings.Contains(text, "This order is paid.") {
		t.Errorf("declining a paid order: %v %s", third, text)
	}
	var list List
	w.control(http.MethodGet, "/sales", nil, &list, http.StatusOK)
	if len(list.Sales) != 1 || len(list.Totals) != 1 || list.Totals[0].Captured.Minor != 999 {
		t.Errorf("book %+v", list)
	}
	if callbacks, _ := w.received(); len(callbacks) != 1 {
		t.Errorf("%d callbacks", len(callbacks))
	}
}

func TestDeclineThenPay(t *testing.T) {
	w := newWorld(t)
	location, _ := w.act(w.order(w.attempt("pay_1")), "decline")
	back, err := w.adapter.ParseReturn(w.account(), location.Query())
	if err != nil || !back.Failed {
		t.Errorf("decline's return: %+v, %v", back, err)
	}
	if got := w.status("pay_1"); got.State != provider.Failed {
		t.Errorf("declined: %+v", got)
	}
	body := w.order(w.attempt("pay_1"))
	if !strings.Contains(body, "You can try again") {
		t.Error("the page doesn't say so")
	}
	if location, _ := w.act(body, "pay"); location == nil || w.status("pay_1").State != provider.Paid {
		t.Errorf("paid after all: %+v", w.status("pay_1"))
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	location, _ := w.act(w.order(w.attempt("pay_1")), "cancel")
	if location == nil || location.RawQuery != "" {
		t.Errorf("sent to %v", location)
	}
	if got := w.status("pay_1"); got.State != provider.Pending {
		t.Errorf("canceled: %+v", got)
	}
	if callbacks, _ := w.received(); len(callbacks) != 0 {
		t.Errorf("callbacks %+v", callbacks)
	}
}

func TestUnansweredCardSaleIsGivenBack(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"wrong body":    {200, "OK\n"},
		"wrong status":  {201, "OK"},
		"not durable":   {503, "ERROR - Not stored, send again!"},
		"a redirection": {302, "OK"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(answer.status, answer.body)
			if location, _ := w.act(w.order(w.attempt("pay_1")), "pay"); location == nil {
				t.Error("the browser isn't sent back after the first try")
			}
			sale := w.eventually("pay_1", "given back", func(s Sale) bool { return s.State == Refunded })
			if len(sale.Postbacks) != 3 || sale.Tries != 3 || sale.Refunded != sale.Captured || sale.Acknowledged {
				t.Errorf("book: %s", describe(sale))
			}
			if got := w.status("pay_1"); got.State != provider.Refunded || got.Amount.Minor != 999 {
				t.Errorf("status %+v", got)
			}
			if body := w.order(w.attempt("pay_1")); !strings.Contains(body, "was given back") {
				t.Errorf("order page\n%s", body)
			}
		})
	}
}

func TestLateAnswerKeepsTheSale(t *testing.T) {
	w := newWorld(t)
	w.answering(503, "later")
	w.act(w.order(w.attempt("pay_1")), "pay")
	w.mu.Lock()
	w.answer = nil
	w.mu.Unlock()
	sale := w.eventually("pay_1", "acknowledged", func(s Sale) bool { return s.Acknowledged })
	if sale.State != Approved || sale.Problem != "" {
		t.Errorf("book: %s", describe(sale))
	}
}

func TestOtherMethodsAreKept(t *testing.T) {
	w := newWorld(t)
	w.answering(500, "no")
	if _, body := w.act(w.order(w.attempt("pay_1")), "pay", "method", "CASH"); !strings.Contains(body, "Choose a way to pay") {
		t.Error("an unknown method passes")
	}
	w.act(w.order(w.attempt("pay_1")), "pay", "method", "IDEAL")
	sale := w.eventually("pay_1", "given up", func(s Sale) bool { return s.Problem != "" })
	if sale.State != Approved || sale.PaymentMethod != "IDEAL" || sale.Refunded.Minor != 0 {
		t.Errorf("book: %s", describe(sale))
	}
	if got := w.status("pay_1"); got.State != provider.Paid || got.AckOrRefund {
		t.Errorf("status %+v", got)
	}
}

func TestBookSurvives(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	w.order(w.attempt("pay_2"))
	w.control(http.MethodPut, "/faults/pay_3", vendor.Faults{Copies: 2}, nil, http.StatusNoContent)
	before := w.sale("pay_1")
	w.restart()
	if after := w.sale("pay_1"); describe(after) != describe(before) {
		t.Errorf("book was %s\nis %s", describe(before), describe(after))
	}
	if got := w.status("pay_2"); got.State != provider.Pending || got.Raw != "PENDING" {
		t.Errorf("unpaid sale: %+v", got)
	}
	var faults map[string]vendor.Faults
	w.control(http.MethodGet, "/faults", nil, &faults, http.StatusOK)
	if faults["pay_3"].Copies != 2 {
		t.Errorf("faults %+v", faults)
	}
}

func TestKilledBetweenCaptureAndPostback(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPut, "/faults/pay_1", vendor.Faults{DelayMillis: 60_000}, nil, http.StatusNoContent)
	w.act(w.order(w.attempt("pay_1")), "pay")
	if sale := w.sale("pay_1"); sale.State != Approved || len(sale.Postbacks) != 0 {
		t.Fatalf("book: %s", describe(sale))
	}
	w.control(http.MethodDelete, "/faults/pay_1", nil, nil, http.StatusNoContent)
	w.restart()
	w.eventually("pay_1", "acknowledged", func(s Sale) bool { return s.Acknowledged })
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	if _, body := w.get(w.vendor.URL + Prefix + "/"); !strings.Contains(body, "No sales yet") || !strings.Contains(body, "1001") {
		t.Errorf("empty book:\n%s", body)
	}
	attempt := w.attempt("pay_1")
	attempt.Description = "<script>alert(1)</script>"
	w.act(w.order(attempt), "pay")
	if _, body := w.get(w.vendor.URL + Prefix + "/"); !strings.Contains(body, "pay_1") || strings.Contains(body, "<script") {
		t.Errorf("book:\n%s", body)
	}
}
