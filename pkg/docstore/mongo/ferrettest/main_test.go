package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/mongo"
	"quittance/pkg/docstore/storetest"
	"quittance/pkg/seal"
)

// serveVar makes this test binary the server, on the directory it names.
const serveVar = "QUITTANCE_FERRETTEST_SERVE"

func TestMain(m *testing.M) {
	dir := os.Getenv(serveVar)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := serve(context.Background(), dir, os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start runs a server until the end of the test.
func start(t *testing.T, dir string) seal.Secret {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), serveVar+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	uri, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return seal.Secret(strings.TrimSpace(uri))
}

func open(t *testing.T, uri seal.Secret, database string) docstore.Engine {
	t.Helper()
	e, err := mongo.Open(t.Context(), mongo.Config{URI: uri, Database: database, AppName: "ferrettest", MaxPoolSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What FerretDB lacks, and what is therefore left to a real server.
const (
	oneConnection = "FerretDB has no atomic updates, so there is one connection; on that, a crowd with this many writes takes minutes"
	noAbort       = "FerretDB has no atomic updates, and goes on with a command whose connection is closed while the next connection writes"
	twoClients    = "FerretDB has no atomic updates, and two processes have two connections"
)

// TestConformance runs the cases with crowds too, as far as one connection
// gets them done: commands do not overlap then, but those of different writers
// alternate, which the engine has to see through.
func TestConformance(t *testing.T) {
	uri := start(t, t.TempDir())
	var databases atomic.Int64
	storetest.RunExcept(t, storetest.Skip{
		"of 10,000 increments by 32 writers none is lost":                     oneConnection,
		"a refused operation spoils none of those committed with it":          oneConnection,
		"a context that ends ends the call, and change does not run after it": noAbort,
	}, func(t *testing.T) docstore.Engine {
		return open(t, uri, fmt.Sprintf("test_%d", databases.Add(1)))
	})
}

// uriVar tells the children of a test where the server is.
const uriVar = "QUITTANCE_FERRETTEST_URI"

// database is the name of the one that stands for a directory.
func database(dir string) string { return fmt.Sprintf("test_%x", sha256.Sum256([]byte(dir)))[:21] }

func TestPersistence(t *testing.T) {
	if os.Getenv(uriVar) == "" { // not a child
		t.Setenv(uriVar, start(t, t.TempDir()).Reveal())
	}
	storetest.RunPersistent(t, storetest.Persistent{
		Open: func(t *testing.T, dir string) docstore.Engine {
			return open(t, seal.Secret(os.Getenv(uriVar)), database(dir))
		},
		Writes: 2000, // an update is a scan
		Skip: storetest.Skip{
			"two processes lose no update and claim nothing twice": twoClients,
		},
	})
}
