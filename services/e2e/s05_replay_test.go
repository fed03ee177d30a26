package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestP1S5SignedDataInTheWrongPlace: a customer holds two texts with valid
// signatures, our own request to the provider and the provider's data on the
// way back. Presented as callbacks, after the provider has given the money back
// for want of an OK, neither delivers anything.
func TestP1S5SignedDataInTheWrongPlace(t *testing.T) {
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = 100 * time.Millisecond },
		seeding: func(s *standalone.Seeding) { s.RefundWindow = "20s" },
	})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	visit := w.payAtProvider(a, map[string]string{"fault.dropPostback": "on"})
	testkit.Eventually(t, patience, func() error {
		sale, err := w.sandbox.Sale(t.Context(), a.GetReference())
		if err == nil && sale.State != client.Refunded {
			err = fmt.Errorf("the provider has not given the money back: %s", sale.State)
		}
		return err
	})
	edge := w.edge + "/callbacks/flexpay/" + standalone.DemoAccount + "?"

	request, err := url.Parse(a.GetRedirect().GetUrl())
	if err != nil {
		t.Fatal(err)
	}
	ours := request.Query()
	ours.Del("email") // the vendor doesn't sign it
	if status, body := get(t, edge+ours.Encode()); status != http.StatusInternalServerError || body != "ERROR - Invalid signature!" {
		t.Errorf("our own request as a callback is answered %d %q", status, body)
	}
	back := dataBack(t, visit)
	// It says nothing untrue, so it is taken for what it is: a hint to ask.
	if status, body := get(t, edge+back); status != http.StatusOK || body != "OK" {
		t.Errorf("the data of the return as a callback is answered %d %q", status, body)
	}
	w.await(o.GetId(), "unpaid with a reason", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == unpaid && o.GetPaymentProblem() != ""
	})
	w.untouched(o.GetId())
}

// dataBack is what a provider has signed and sent back with the browser.
func dataBack(t *testing.T, visit client.Visit) string {
	t.Helper()
	for _, u := range slices.Backward(visit.URLs) {
		if strings.Contains(u, "/return/") {
			_, data, _ := strings.Cut(u, "?")
			return data
		}
	}
	t.Fatalf("the browser did not come back: %v", visit.URLs)
	return ""
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, body := fetched(t, address)
	return resp.StatusCode, body
}

// fetched is a page with its headers, and what it says.
func fetched(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
