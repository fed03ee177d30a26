package e2e

import (
	"strings"
	"testing"

	"quittance/services/sandbox/client"
)

// TestS1SeparateProcesses: the happy path with every service in a process of
// its own. All other stories run so with QUITTANCE_TEST_MODE=processes.
func TestS1SeparateProcesses(t *testing.T) {
	w := startProcesses(t, config(""), setup{})
	o := w.order(item("notepad", 2), item("handbook", 1))
	if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
		t.Fatalf("came back to %s", visit.Last.URL)
	}
	w.awaitDelivered(o.GetId())
	w.checkMails(w.keys(o.GetId()))
	if got := strings.Join(w.webhooks(o.GetId()), " "); !strings.HasPrefix(got, "order.created payment.succeeded") {
		t.Fatalf("webhooks %s", got)
	}
}

// TestS22KillEachService: every service is killed while an order needs it, and
// started again; the order completes.
func TestS22KillEachService(t *testing.T) {
	w := startProcesses(t, config(""), setup{})
	for name, replicas := range w.fleet.services {
		p := replicas[0]
		o := w.order(item("notepad", 1))
		a := w.startCards(o)
		if name != "callback-ingest" { // it must take the callback; it is killed right after
			p.kill()
		}
		w.payAtProvider(a, map[string]string{"fault.skipRedirect": "on"})
		if name == "callback-ingest" {
			p.kill()
		}
		p.start()
		p.ready()
		w.awaitDelivered(o.GetId())
		if n := len(w.keys(o.GetId())[1]); n != 1 {
			t.Errorf("%s: %d keys", name, n)
		}
	}
}
