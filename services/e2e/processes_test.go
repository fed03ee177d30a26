package e2e

import (
	"cmp"
	"net"
	"strings"
	"testing"

	"quittance/pkg/seal"
	"quittance/pkg/testkit"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// fleet is the system as processes of its own: a service each, and the sandbox.
type fleet struct {
	services map[string]*process
	http     map[string]string
}

const fleetOperator = "operator-key-for-fleets"

// startProcesses starts the six services, the sandbox and a NATS server that is
// reached over TCP, in no order that they need.
func startProcesses(t *testing.T, cfg standalone.Config, with setup) *world {
	t.Helper()
	names := []string{"order", "payment-redirect", "callback-ingest", "verification", "delivery", "notification"}
	users := map[string]string{"payment-redirect": "payment", "callback-ingest": "callback"}
	for _, name := range names {
		users[name] = cmp.Or(users[name], name)
		t.Setenv("NATS_"+strings.ToUpper(users[name])+"_PASSWORD", "password-of-"+users[name])
	}
	nats := testkit.ConfiguredNATS(t, "../../deploy/nats.conf") // with the permissions of a deployment
	grpc, internal, http := map[string]string{}, map[string]string{}, map[string]string{}
	for _, name := range names {
		grpc[name], internal[name], http[name] = freeAddr(t), freeAddr(t), freeAddr(t)
	}
	sandboxAddr, smtpAddr := freeAddr(t), freeAddr(t)
	public, callbacks := "http://"+http["payment-redirect"], "http://"+http["callback-ingest"]
	smtpHost, smtpPort, err := net.SplitHostPort(smtpAddr)
	if err != nil {
		t.Fatal(err)
	}
	keyring := seal.Generate()
	f := &fleet{services: map[string]*process{}, http: http}
	for _, name := range names { // order last would do as well: nobody needs it to start
		f.services[name] = newProcess(t, "quittance/services/"+name+"/cmd/"+name, "http://"+http[name]+"/readyz", []string{
			"QUITTANCE_DATA_DIR=" + t.TempDir(), "QUITTANCE_NATS_URL=" + nats.URL(),
			"QUITTANCE_NATS_USER=" + users[name], "QUITTANCE_NATS_PASSWORD=password-of-" + users[name],
			"QUITTANCE_GRPC_ADDR=" + grpc[name], "QUITTANCE_INTERNAL_ADDR=" + internal[name], "QUITTANCE_HTTP_ADDR=" + http[name],
			"QUITTANCE_ORDER_ADDR=" + internal["order"], "QUITTANCE_KEYRING=" + keyring, "QUITTANCE_SERVICE_TOKEN=token-of-the-fleet",
			"QUITTANCE_OPERATOR_KEY=" + fleetOperator, "QUITTANCE_PUBLIC_URL=" + public, "QUITTANCE_CALLBACK_URL=" + callbacks,
			"QUITTANCE_SMTP_HOST=" + smtpHost, "QUITTANCE_SMTP_PORT=" + smtpPort, "QUITTANCE_SMTP_TLS=none",
			"QUITTANCE_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "QUITTANCE_RETURN_WAIT=" + cfg.ReturnWait.String(), "QUITTANCE_CATCH_UP=" + cfg.CatchUp.String(),
			"QUITTANCE_LOG_LEVEL=error",
		})
	}
	const shopID, signatureKey = "68849", "a-signature-key-for-fleets"
	sandbox := newProcess(t, "quittance/services/sandbox/cmd/sandbox", "http://"+sandboxAddr+"/readyz", []string{
		"SANDBOX_ADDR=" + sandboxAddr, "SANDBOX_SMTP_ADDR=" + smtpAddr, "SANDBOX_DATA_DIR=" + t.TempDir(),
		"SANDBOX_ORDER_TARGET=" + grpc["order"], "SANDBOX_SHOP_ID=" + shopID, "SANDBOX_SIGNATURE_KEY=" + signatureKey,
		"SANDBOX_POSTBACK_URL=" + callbacks + "/callbacks/flexpay/" + standalone.DemoAccount, "SANDBOX_LOG_LEVEL=error",
	})
	for _, p := range f.services {
		p.ready()
	}
	sandbox.ready()

	seeding := standalone.Seeding{
		FlexPayURL: "http://" + sandboxAddr + "/flexpay", FlexPayShop: shopID, SignatureKey: signatureKey, RefundWindow: "1h",
		WebhookURL: "http://" + sandboxAddr + "/webhooks/" + standalone.DemoEndpoint, ReturnURL: "http://" + sandboxAddr + "/shop",
	}
	if with.seeding != nil {
		with.seeding(&seeding)
	}
	w := &world{
		t: t, shop: "http://" + sandboxAddr, public: public, edge: callbacks, operatorKey: fleetOperator, webhookURL: seeding.WebhookURL,
		sandbox: client.New("http://" + sandboxAddr), email: emailOf(t), fleet: f,
		at: standalone.Addresses{
			Order: grpc["order"], Payment: grpc["payment-redirect"], Callback: grpc["callback-ingest"],
			Verification: grpc["verification"], Delivery: grpc["delivery"], Notification: grpc["notification"],
		},
	}
	demo, err := standalone.Seed(t.Context(), w.at, fleetOperator, t.TempDir(), seeding)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sandbox.PutWebhook(t.Context(), standalone.DemoEndpoint, demo.WebhookSecret.Reveal()); err != nil {
		t.Fatal(err)
	}
	if err := w.sandbox.SetAPIKey(t.Context(), demo.APIKey.Reveal()); err != nil {
		t.Fatal(err)
	}
	w.connect(demo.APIKey)
	return w
}

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
	if testing.Short() {
		t.Skip("restarts every process: not with -short")
	}
	w := startProcesses(t, config(""), setup{})
	for name, p := range w.fleet.services {
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
