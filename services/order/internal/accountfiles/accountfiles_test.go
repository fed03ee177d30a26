package accountfiles_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/accountfiles"
)

const cards = `id: acme-cards
merchant_id: acme
provider: flexpay
display_name: Credit card
settings: {shop_id: "68849", base_url: "https://pay.example"}
secret_files: {signature_key: keys/acme}
overlap: 24h
`

const planted = "PLANTED-SECRET-4711"

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// office takes accounts of merchants that it knows.
type office struct {
	mu    sync.Mutex
	known bool
	got   []*orderv1.PutProviderAccountRequest
}

func (o *office) put(_ context.Context, req *orderv1.PutProviderAccountRequest) (*orderv1.ProviderAccount, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.known {
		return nil, fault.Invalid("account.merchant_id", "is not known")
	}
	o.got = append(o.got, proto.CloneOf(req))
	return req.GetAccount(), nil
}

func (o *office) last(t *testing.T) *orderv1.PutProviderAccountRequest {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.got) == 0 {
		t.Fatal("nothing was stored")
	}
	return o.got[len(o.got)-1]
}

// TestFilesAreFollowed: what is in the directory is stored, what can't be is said
// once and tried again, and a new secret takes the old one's place.
func TestFilesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "cards.yaml", cards)
		write(t, dir, "keys/acme", planted+"\n")
		write(t, dir, "README.md", "no account")
		write(t, dir, "..data.yaml", "no account")
		var o office
		var log bytes.Buffer
		files, err := accountfiles.New(dir, o.put, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- files.Run(ctx) }()
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }

		pass(5 * time.Minute)
		if n := strings.Count(log.String(), "is not in use"); n != 1 || !strings.Contains(log.String(), "cards.yaml") || !strings.Contains(log.String(), "account.merchant_id") {
			t.Errorf("said %d times: %s", n, &log)
		}
		o.mu.Lock()
		o.known = true
		o.mu.Unlock()
		pass(time.Minute)
		a := o.last(t)
		if a.GetAccount().GetId() != "acme-cards" || a.GetAccount().GetSettings()["shop_id"] != "68849" || a.GetSecrets()["signature_key"] != planted || a.GetOverlap().AsDuration() != 24*time.Hour {
			t.Errorf("stored %v", a)
		}
		write(t, dir, "keys/acme", "rotated")
		pass(time.Minute)
		if got := o.last(t).GetSecrets()["signature_key"]; got != "rotated" {
			t.Errorf("stored %q", got)
		}
		write(t, dir, "cards.yaml", "id: [")
		pass(time.Minute)
		stored := len(o.got)
		pass(time.Hour)
		if len(o.got) != stored {
			t.Error("a broken file is stored")
		}
		if text := log.String(); !strings.Contains(text, "line 1") || strings.Contains(text, planted) || strings.Contains(text, "rotated") {
			t.Errorf("log %s", text)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestABadFileIsRefusedAtTheStart, with its name and field, and without its secrets.
func TestABadFileIsRefusedAtTheStart(t *testing.T) {
	for name, tt := range map[string]struct{ text, says string }{
		"not YAML":          {"id: a\n\t- b", "line "},
		"unknown field":     {"id: a\nsecret: " + planted, `"secret"`},
		"twice":             {"id: a\nid: b", "line 2"},
		"wrong type":        {"id: a\ndisabled: " + planted, "line 2"},
		"missing file":      {"id: a\nsecret_files: {signature_key: nowhere}", "secret_files.signature_key"},
		"both":              {"id: a\nsecrets: {k: " + planted + "}\nsecret_files: {k: keys/acme}", "secret_files.k"},
		"empty":             {"id: a\nsecrets: {k: ''}", "secrets.k"},
		"secret as list":    {"id: a\nsecrets: [" + planted + "]", "line 2"},
		"bad overlap":       {"id: a\noverlap: soon", "overlap"},
		"too long":          {"id: " + strings.Repeat("a", 70<<10), "longer"},
		"secret in a comma": {"id: a\nsecrets: {k: " + planted + ", " + planted + "}", ""},
	} {
		dir := t.TempDir()
		write(t, dir, "bad.yaml", tt.text)
		write(t, dir, "keys/acme", planted)
		_, err := accountfiles.New(dir, nil, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "bad.yaml") || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := accountfiles.New(filepath.Join(t.TempDir(), "nowhere"), nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "directory of accounts") {
		t.Errorf("no directory: %v", err)
	}
}
