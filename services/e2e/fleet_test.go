package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quittance/pkg/seal"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// fleet is the system as processes of its own: some replicas of each service on
// one SQLite file per service, a NATS server, and the sandbox.
type fleet struct {
	t        testing.TB
	services map[string][]*process
	nats     []node
	dirs     map[string]string   // data directories by service
	grpc     map[string][]string // public addresses by service
	http     map[string][]string
	internal map[string][]string
	// before stands in front of the pages of a service.
	before map[string]*balancer
}

// node is a server of the bus, with its JetStream directory.
type node struct {
	*process
	dir string
}

// fleetSetup is how a fleet differs from one process per service.
type fleetSetup struct {
	replicas int
	// nodes of the bus: 1, or a cluster with as many replicas of each stream.
	nodes int
	// env gives further settings of a replica of a service.
	env func(program string, replica int) []string
	// inTest says which replicas are run by this test's own binary, see
	// runService; nil: none.
	inTest func(replica int) bool
	// between gives the address at which others reach a part at addr, for what
	// stands between them; nil: the same.
	between func(part, addr string) string
}

const (
	fleetOperator = "operator-key-for-fleets"
	fleetToken    = "token-of-the-fleet"
	fleetShop     = "68849"
	fleetKey      = "a-signature-key-for-fleets"
)

// fleetNames are the services by the names of their programs.
var fleetNames = []string{"order", "payment-redirect", "callback-ingest", "verification", "delivery", "notification"}

// natsUser is the name of a service on the bus.
func natsUser(program string) string {
	return cmp.Or(map[string]string{"payment-redirect": "payment", "callback-ingest": "callback"}[program], program)
}

// startNATS starts server processes with the users and permissions of a
// deployment, which are a cluster if there are several. Between them stands what
// stands between parts.
func (f *fleet) startNATS(addrs []string, between func(part, addr string) string) {
	f.t.Helper()
	var env []string
	for _, name := range fleetNames {
		env = append(env, "NATS_"+strings.ToUpper(natsUser(name))+"_PASSWORD=password-of-"+natsUser(name))
	}
	raw, err := os.ReadFile("../../deploy/nats.conf")
	if err != nil {
		f.t.Fatal(err)
	}
	own, known := make([]string, len(addrs)), make([]string, len(addrs)) // of the routes between nodes
	for i := range addrs {
		own[i] = freeAddr(f.t)
		known[i] = between("route", own[i])
	}
	for i, addr := range addrs {
		host, port, _ := strings.Cut(addr, ":")
		_, monitor, _ := strings.Cut(freeAddr(f.t), ":")
		dir, path := filepath.Join(f.t.TempDir(), "nats"), filepath.Join(f.t.TempDir(), "nats.conf")
		text := strings.NewReplacer("port: 4222", "host: "+host+", port: "+port, "http_port: 8222", "http_port: "+monitor,
			"store_dir: /data", fmt.Sprintf("store_dir: %q", dir)).Replace(string(raw))
		if len(addrs) > 1 { // clients learn of no way around what stands between
			text += fmt.Sprintf("\nserver_name: node-%d\ncluster { name: quittance, listen: %q, advertise: %q, no_advertise: true, routes: [\"nats://%s\"] }\n",
				i, own[i], known[i], strings.Join(known, `", "nats://`))
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
		f.nats = append(f.nats, node{newProcess(f.t, "github.com/nats-io/nats-server/v2", "http://"+host+":"+monitor+"/healthz", env, "-c", path), dir})
	}
}

// busReady waits for all nodes of the bus.
func (f *fleet) busReady() {
	f.t.Helper()
	for _, n := range f.nats {
		n.ready()
	}
}

// startFleet starts everything, in a random order, and waits until it is ready.
// Not with -short: the race detector, for which that is, sees nothing in there.
func startFleet(t testing.TB, cfg standalone.Config, with fleetSetup) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("processes of their own: not with -short")
	}
	f := &fleet{
		t: t, services: map[string][]*process{}, dirs: map[string]string{},
		grpc: map[string][]string{}, http: map[string][]string{}, internal: map[string][]string{}, before: map[string]*balancer{},
	}
	between := with.between
	if between == nil {
		between = func(_, addr string) string { return addr }
	}
	reached := map[string][]string{} // internal addresses as others know them
	for _, name := range fleetNames {
		f.dirs[name] = t.TempDir()
		f.services[name] = make([]*process, max(with.replicas, 1))
		for range f.services[name] {
			f.grpc[name] = append(f.grpc[name], freeAddr(t))
			f.http[name] = append(f.http[name], freeAddr(t))
			f.internal[name] = append(f.internal[name], freeAddr(t))
			reached[name] = append(reached[name], between(name, f.internal[name][len(f.internal[name])-1]))
		}
		f.before[name] = newBalancer(t, f.http[name]...)
	}
	sandboxAddr, smtpAddr := freeAddr(t), freeAddr(t)
	natsAddrs, natsURLs := make([]string, max(with.nodes, 1)), make([]string, max(with.nodes, 1))
	for i := range natsAddrs {
		natsAddrs[i] = freeAddr(t)
		natsURLs[i] = "nats://" + between("bus", natsAddrs[i])
	}
	smtpHost, smtpPort, _ := strings.Cut(between("mail", smtpAddr), ":")
	public, callbacks := "http://"+f.before["payment-redirect"].addr, "http://"+between("callbacks", f.before["callback-ingest"].addr)
	common := []string{
		"QUITTANCE_NATS_URL=" + strings.Join(natsURLs, ","), "QUITTANCE_NATS_REPLICAS=" + strconv.Itoa(len(natsURLs)), "QUITTANCE_ORDER_ADDR=" + strings.Join(reached["order"], ","),
		"QUITTANCE_DELIVERY_ADDR=" + strings.Join(reached["delivery"], ","),
		"QUITTANCE_KEYRING=" + seal.Generate(), "QUITTANCE_SERVICE_TOKEN=" + fleetToken,
		"QUITTANCE_OPERATOR_KEY=" + fleetOperator, "QUITTANCE_PUBLIC_URL=" + public, "QUITTANCE_CALLBACK_URL=" + callbacks,
		"QUITTANCE_SMTP_HOST=" + smtpHost, "QUITTANCE_SMTP_PORT=" + smtpPort, "QUITTANCE_SMTP_TLS=none",
		"QUITTANCE_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "QUITTANCE_LICENSE_SERVICE_ALLOW_CIDRS=127.0.0.0/8",
		"QUITTANCE_RETURN_WAIT=" + cfg.ReturnWait.String(), "QUITTANCE_CATCH_UP=" + cfg.Notification.CatchUp.String(),
		"QUITTANCE_LOG_LEVEL=error",
	}
	var sandbox *process
	starts := []func(){
		func() { f.startNATS(natsAddrs, between) },
		func() {
			sandbox = newProcess(t, "quittance/services/sandbox/cmd/sandbox", "http://"+sandboxAddr+"/readyz", []string{
				"SANDBOX_ADDR=" + sandboxAddr, "SANDBOX_SMTP_ADDR=" + smtpAddr, "SANDBOX_DATA_DIR=" + t.TempDir(),
				"SANDBOX_ORDER_TARGET=" + f.grpc["order"][0], "SANDBOX_SHOP_ID=" + fleetShop, "SANDBOX_SIGNATURE_KEY=" + fleetKey,
				"SANDBOX_POSTBACK_URL=" + callbacks + "/callbacks/flexpay/" + standalone.DemoAccount, "SANDBOX_LOG_LEVEL=error",
			})
		},
	}
	for _, name := range fleetNames {
		for i := range f.grpc[name] {
			env := append(slices.Clone(common),
				"QUITTANCE_DATA_DIR="+f.dirs[name], "QUITTANCE_NATS_USER="+natsUser(name), "QUITTANCE_NATS_PASSWORD=password-of-"+natsUser(name),
				"QUITTANCE_GRPC_ADDR="+f.grpc[name][i], "QUITTANCE_INTERNAL_ADDR="+f.internal[name][i], "QUITTANCE_HTTP_ADDR="+f.http[name][i])
			if with.env != nil {
				env = append(env, with.env(name, i)...)
			}
			starts = append(starts, func() {
				pkg, ready := "quittance/services/"+name+"/cmd/"+name, "http://"+f.http[name][i]+"/readyz"
				if with.inTest == nil || !with.inTest(i) {
					f.services[name][i] = newProcess(t, pkg, ready, env)
					return
				}
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				f.services[name][i] = newProgram(t, self, pkg+" in the test", ready, append(env, testProgram+"="+name))
			})
		}
	}
	rand.Shuffle(len(starts), func(i, j int) { starts[i], starts[j] = starts[j], starts[i] })
	for _, start := range starts {
		start()
	}
	f.busReady()
	sandbox.ready()
	f.ready()
	kept := slices.Collect(maps.Values(f.dirs))
	for _, n := range f.nats {
		kept = append(kept, n.dir)
	}
	return &world{
		t: t, shop: "http://" + sandboxAddr, public: public, edge: callbacks, operatorKey: fleetOperator,
		sandbox: client.New("http://" + sandboxAddr), kept: kept, fleet: f,
		at: standalone.Addresses{
			Order: f.address("order"), Payment: f.address("payment-redirect"), Callback: f.address("callback-ingest"),
			Verification: f.address("verification"), Delivery: f.address("delivery"), Notification: f.address("notification"),
		},
	}
}

// address is where the public API of a service's replicas listens.
func (f *fleet) address(name string) string { return strings.Join(f.grpc[name], ",") }

// ready waits for all services.
func (f *fleet) ready() {
	f.t.Helper()
	for _, replicas := range f.services {
		for _, p := range replicas {
			p.ready()
		}
	}
}

// startProcesses starts a fleet with the demonstration merchant.
func startProcesses(t *testing.T, cfg standalone.Config, with setup) *world {
	t.Helper()
	w := startFleet(t, cfg, with.fleet)
	w.email = emailOf(t)
	seeding := standalone.Seeding{
		FlexPayURL: w.shop + "/flexpay", FlexPayShop: fleetShop, SignatureKey: fleetKey, RefundWindow: "1h",
		SandboxURL: w.shop, CallbackURL: w.edge,
		WebhookURL: w.shop + "/webhooks/" + standalone.DemoEndpoint, ReturnURL: w.shop + "/shop",
	}
	if with.seeding != nil {
		with.seeding(&seeding)
	}
	w.webhookURL = seeding.WebhookURL
	demo, err := standalone.SeedWithSandbox(t.Context(), w.at, fleetOperator, t.TempDir(), w.shop, seeding)
	if err != nil {
		t.Fatal(err)
	}
	w.connect(demo.APIKey)
	w.key = demo.APIKey
	return w
}

// logs returns what all services have logged.
func (f *fleet) logs() string {
	f.t.Helper()
	var all []byte
	for _, replicas := range f.services {
		for _, p := range replicas {
			raw, err := os.ReadFile(p.log.Name())
			if err != nil {
				f.t.Fatal(err)
			}
			all = append(all, raw...)
		}
	}
	return string(all)
}

// restart stops a replica as a deployment does: out of service first, then
// asked to end; and starts it again.
func (f *fleet) restart(name string, replica int) error {
	f.before[name].set(f.http[name][replica], false)
	p := f.services[name][replica]
	if err := p.terminate(); err != nil {
		return fmt.Errorf("%s %d: %w", name, replica, err)
	}
	p.start()
	p.ready()
	f.before[name].set(f.http[name][replica], true)
	return nil
}
