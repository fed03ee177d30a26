package rpc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quittance/pkg/devcert"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// issue makes certificates for services by one authority.
func issue(t *testing.T, names ...string) (dirs []string) {
	t.Helper()
	root := t.TempDir()
	authority, err := devcert.Open(filepath.Join(root, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		dir := filepath.Join(root, name)
		if err := authority.Issue(dir, name, name); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func load(t *testing.T, dir string) *rpc.MutualTLS {
	t.Helper()
	m, err := rpc.LoadMutualTLS(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serveMutual serves the reference service as an internal listener does.
func serveMutual(t *testing.T, m *rpc.MutualTLS) (addr string) {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{Listener: rpc.Internal, ServiceToken: "token", MutualTLS: m})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterReferenceServiceServer(server.Registrar(), references{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// ask calls with the right token.
func ask(t *testing.T, addr string, m *rpc.MutualTLS) error {
	t.Helper()
	conn, err := rpc.Dial(addr, rpc.DialOptions{ServiceToken: "token", MutualTLS: m})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = orderv1.NewReferenceServiceClient(conn).GetReference(ctx, &orderv1.GetReferenceRequest{})
	return err
}

func replace(t *testing.T, path, with string) {
	t.Helper()
	raw, err := os.ReadFile(with)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMutualTLS(t *testing.T) {
	dirs := issue(t, "order", "delivery")
	stranger := issue(t, "delivery")[0]
	addr := serveMutual(t, load(t, dirs[0]))
	if err := ask(t, addr, load(t, dirs[1])); err != nil {
		t.Errorf("a service: %v", err)
	}
	if err := ask(t, addr+","+addr, load(t, dirs[1])); err != nil {
		t.Errorf("a service that knows replicas: %v", err)
	}
	if err := ask(t, addr, nil); fault.KindOf(err) != fault.KindUnavailable {
		t.Errorf("without a certificate: %v", err)
	}
	if err := ask(t, addr, load(t, stranger)); fault.KindOf(err) != fault.KindUnavailable {
		t.Errorf("with another authority's certificate: %v", err)
	}
	replace(t, filepath.Join(stranger, "ca.crt"), filepath.Join(dirs[0], "ca.crt"))
	if err := ask(t, addr, load(t, stranger)); fault.KindOf(err) != fault.KindUnavailable {
		t.Errorf("with another authority's certificate, trusting ours: %v", err)
	}
}

// Certificates are renewed without a restart; files in the middle of a change
// don't matter.
func TestMutualTLSRenews(t *testing.T) {
	dirs := issue(t, "order", "delivery")
	addr := serveMutual(t, load(t, dirs[0]))
	next := issue(t, "order", "delivery")
	if err := ask(t, addr, load(t, next[1])); err == nil {
		t.Fatal("taken before the server knows the authority")
	}
	for _, name := range []string{"ca.crt", "tls.crt"} { // not the key yet
		replace(t, filepath.Join(dirs[0], name), filepath.Join(next[0], name))
	}
	if err := ask(t, addr, load(t, dirs[1])); err != nil {
		t.Fatalf("with half of the files: %v", err)
	}
	replace(t, filepath.Join(dirs[0], "tls.key"), filepath.Join(next[0], "tls.key"))
	for begun := time.Now(); ; {
		err := ask(t, addr, load(t, next[1]))
		if err == nil {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal(err)
		}
	}
}

func TestMutualTLSNamesTheFile(t *testing.T) {
	dir := issue(t, "order")[0]
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, spoil := range map[string]func() error{
			"missing": func() error { return os.Remove(path) },
			"garbage": func() error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if _, err := rpc.LoadMutualTLS(dir, slog.Default()); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s is %s: %v", name, what, err)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
