package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quittance/pkg/id"
	"quittance/services/sandbox/client"
)

// ferret starts FerretDB, a server of the MongoDB wire protocol on SQLite files,
// from its own module, and returns its connection string.
func ferret(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ferrettest")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../pkg/docstore/mongo/ferrettest", "-o", path, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build FerretDB: %v\n%s", err, out)
	}
	server := exec.CommandContext(t.Context(), path, t.TempDir())
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends with its input
		_ = server.Wait()
	})
	uri, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("FerretDB did not start: %v", err)
	}
	return strings.TrimSpace(uri)
}

// TestS1MongoDBWire: the happy path with every service's documents behind the
// MongoDB wire protocol. On FerretDB, one connection per service and database,
// because its updates are not atomic; on a server if
// QUITTANCE_TEST_MONGODB_URI is set.
func TestS1MongoDBWire(t *testing.T) {
	uri, pool := os.Getenv("QUITTANCE_TEST_MONGODB_URI"), "QUITTANCE_MONGO_MAX_POOL_SIZE=50"
	switch {
	case uri != "":
	case setting(t, "QUITTANCE_TEST_FERRET", 0) == 1:
		uri, pool = ferret(t), "QUITTANCE_MONGO_MAX_POOL_SIZE=1"
	default:
		t.Skip("no MongoDB: QUITTANCE_TEST_MONGODB_URI is not set, and QUITTANCE_TEST_FERRET is not 1 (make ferret)")
	}
	run := id.New("e2e") // databases of this run only
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{env: func(program string, _ int) []string {
		return []string{"QUITTANCE_MONGO_URI=" + uri, pool, "QUITTANCE_MONGO_DATABASE=" + run + "_" + natsUser(program)}
	}}})
	for range 3 {
		o := w.order(item("notepad", 2), item("handbook", 1))
		if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
			t.Fatalf("came back to %s", visit.Last.URL)
		}
		w.awaitDelivered(o.GetId())
		if n := len(w.keys(o.GetId())[1]); n != 2 {
			t.Errorf("%d keys", n)
		}
		w.awaitWebhooks(o.GetId(), "order.created", "payment.succeeded", "product.delivered", "product.delivered", "order.delivered")
	}
}
