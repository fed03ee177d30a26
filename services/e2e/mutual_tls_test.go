package e2e

import (
	"path/filepath"
	"testing"

	"quittance/pkg/devcert"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/telemetry"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// TestMutualTLSBetweenServices: an order is paid and delivered while services
// show each other certificates; who has none, or another authority's, does not
// get as far as the service token.
func TestMutualTLSBetweenServices(t *testing.T) {
	certs := t.TempDir()
	authority, err := devcert.Open(filepath.Join(certs, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fleetNames {
		if err := authority.Issue(filepath.Join(certs, name), name, name); err != nil {
			t.Fatal(err)
		}
	}
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{env: func(program string, _ int) []string {
		return []string{"QUITTANCE_INTERNAL_TLS_DIR=" + filepath.Join(certs, program)}
	}}})
	o := w.order(item("notepad", 2))
	if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
		t.Fatalf("came back to %s", visit.Last.URL)
	}
	w.awaitDelivered(o.GetId())

	other, err := devcert.Open(filepath.Join(certs, "another-ca"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Issue(filepath.Join(certs, "stranger"), "delivery", "delivery"); err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.Setup(t.Context(), "test", config("").Telemetry)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(dir string) error {
		t.Helper()
		options := rpc.DialOptions{ServiceToken: fleetToken}
		if dir != "" {
			if options.MutualTLS, err = rpc.LoadMutualTLS(filepath.Join(certs, dir), tel.Logger); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := rpc.Dial(w.fleet.internal["order"][0], options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = orderv1.NewReferenceServiceClient(conn).GetOrderForService(t.Context(), &orderv1.GetOrderForServiceRequest{OrderId: o.GetId()})
		return err
	}
	if err := ask("delivery"); err != nil {
		t.Errorf("a service: %v", err)
	}
	for what, dir := range map[string]string{"no certificate": "", "another authority's certificate": "stranger"} {
		if err := ask(dir); fault.KindOf(err) != fault.KindUnavailable {
			t.Errorf("with %s: %v", what, err)
		}
	}
}
