package flexpay

import (
	"net/http"
	"testing"

	"quittance/pkg/provider"
	"quittance/pkg/seal"

	"quittance/services/sandbox/internal/vendor"
)

func testSecret(text string) seal.Secret { return seal.Secret(text) }

func TestRefund(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	var report PostbackReport
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1", Amount: "4.00"}, &report, http.StatusOK)
	if report.Sale.State != Approved || report.Sale.Refunded.Minor != 400 || len(report.Attempts) != 1 || !report.Attempts[0].OK {
		t.Errorf("partial refund: %+v", report)
	}
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1", Amount: "6.00"}, nil, http.StatusConflict)
	w.control(http.MethodPost, "/refunds", RefundOrder{SaleID: report.Sale.SaleID}, &report, http.StatusOK)
	if report.Sale.State != Refunded || report.Sale.Refunded.Minor != 999 {
		t.Errorf("refund of the rest: %+v", report)
	}
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1"}, nil, http.StatusConflict)
	callbacks, refused := w.received()
	if len(callbacks) != 3 || len(refused) != 0 || callbacks[1].DedupeKey == callbacks[2].DedupeKey {
		t.Fatalf("callbacks %+v, refused %v", callbacks, refused)
	}
	for _, callback := range callbacks[1:] {
		if callback.Claim != provider.ClaimRefunded || callback.Reference != "pay_1" || callback.TransactionID != report.Sale.SaleID {
			t.Errorf("callback %+v", callback)
		}
	}
	if got := w.status("pay_1"); got.State != provider.Refunded || got.TransactionID != report.Sale.SaleID {
		t.Errorf("status %+v", got)
	}
}

func TestChargeback(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1", Event: EventChargeback}, nil, http.StatusOK)
	if callbacks, _ := w.received(); len(callbacks) != 2 || callbacks[1].Claim != provider.ClaimChargedBack {
		t.Errorf("callbacks %+v", callbacks)
	}
	if got := w.status("pay_1"); got.State != provider.ChargedBack {
		t.Errorf("status %+v", got)
	}
}

func TestResend(t *testing.T) {
	w := newWorld(t)
	w.act(w.order(w.attempt("pay_1")), "pay")
	var report PostbackReport
	w.control(http.MethodPost, "/postbacks", PostbackOrder{Reference: "pay_1", Times: 100}, &report, http.StatusOK)
	if len(report.Attempts) != 100 || len(report.Sale.Postbacks) != 101 {
		t.Errorf("%d attempts", len(report.Attempts))
	}
	callbacks, _ := w.received()
	if len(callbacks) != 101 {
		t.Fatalf("%d callbacks", len(callbacks))
	}
	for _, callback := range callbacks {
		if callback != callbacks[0] {
			t.Errorf("repeat %+v differs from %+v", callback, callbacks[0])
		}
	}
}

func TestForge(t *testing.T) {
	w := newWorld(t)
	w.order(w.attempt("pay_1"))
	w.control(http.MethodPost, "/postbacks", PostbackOrder{Reference: "pay_1"}, nil, http.StatusConflict)
	var report PostbackReport
	w.control(http.MethodPost, "/postbacks", PostbackOrder{Reference: "pay_1", Forged: true, Times: 2}, &report, http.StatusOK)
	if len(report.Attempts) != 2 || report.Attempts[0].OK || report.Attempts[0].Status != 500 ||
		report.Attempts[0].Body != "ERROR - Invalid signature!" || report.Sale.Acknowledged {
		t.Errorf("forged: %+v", report)
	}
	if callbacks, refused := w.received(); len(callbacks) != 0 || len(refused) != 2 {
		t.Errorf("callbacks %v, refused %v", callbacks, refused)
	}
}

func TestControlRefuses(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPut, "/shops/7", Shop{SignatureKey: "k", PostbackURL: "callback"}, nil, http.StatusBadRequest)
	w.control(http.MethodPut, "/shops/7", Shop{ID: "8", SignatureKey: "k"}, nil, http.StatusBadRequest)
	w.control(http.MethodPut, "/shops/7", Shop{}, nil, http.StatusBadRequest)
	w.control(http.MethodPut, "/faults", vendor.Faults{Copies: -1}, nil, http.StatusBadRequest)
	w.control(http.MethodPut, "/faults", map[string]int{"copy": 1}, nil, http.StatusBadRequest)
	w.control(http.MethodPost, "/refunds", RefundOrder{}, nil, http.StatusBadRequest)
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "none"}, nil, http.StatusNotFound)
	w.control(http.MethodPost, "/postbacks", PostbackOrder{Reference: "none"}, nil, http.StatusNotFound)
	w.control(http.MethodPost, "/postbacks", PostbackOrder{Reference: "none", Times: 501}, nil, http.StatusBadRequest)
	w.order(w.attempt("pay_1"))
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1"}, nil, http.StatusConflict)
	w.control(http.MethodPost, "/refunds", RefundOrder{Reference: "pay_1", Event: "gift"}, nil, http.StatusBadRequest)
}

func TestRegisteredShop(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPut, "/shops/1002", Shop{SignatureKey: "k2"}, nil, http.StatusNoContent)
	w.restart()
	var shops []Shop
	w.control(http.MethodGet, "/shops", nil, &shops, http.StatusOK)
	if len(shops) != 2 || shops[1].ID != "1002" || shops[1].SignatureKey != "" {
		t.Errorf("shops %+v", shops)
	}
	w.setAccount("1002", "k2")
	w.act(w.order(w.attempt("pay_1")), "pay", "method", "IDEAL")
	if sale := w.sale("pay_1"); sale.ShopID != "1002" || sale.Postbacks[0].Error == "" {
		t.Errorf("book: %s", describe(sale))
	}
	w.eventually("pay_1", "given up", func(s Sale) bool { return s.Problem != "" })
}
