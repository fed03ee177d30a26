package edge

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/fault"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// mute is a relay that relays nothing.
type mute struct{}

func (mute) Watch(docstore.Store)                       {}
func (mute) Committed(docstore.Store, *docstore.Record) {}
func (mute) Known(docstore.Store, string) int64         { return 0 }
func (mute) Marked(docstore.Store, string, int64)       {}

// office is MerchantService on a store, with the given keys and clock.
func office(t *testing.T, e docstore.Engine, spec string, now *time.Time) *Merchants {
	t.Helper()
	keys, err := seal.ParseKeyring(spec)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return *now }
	refs, err := reference.OpenOwner(t.Context(), e, keys, clock, mute{}, "order")
	if err != nil {
		t.Fatal(err)
	}
	return &Merchants{Reference: refs, Keyring: keys, Providers: registry.New(&http.Client{}), Now: clock}
}

func keySpec(id string) string {
	return id + ":" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(id, 32)[:32]))
}

func (s *Merchants) put(ctx context.Context, t *testing.T, key string, overlap time.Duration) {
	t.Helper()
	if _, err := s.PutMerchant(ctx, &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{Id: "acme", Name: "Acme", MailFrom: "a@acme.example"}}); err != nil {
		t.Fatal(err)
	}
	req := &orderv1.PutProviderAccountRequest{
		Account: &orderv1.ProviderAccount{
			Id: "cards", MerchantId: "acme", Provider: "flexpay", DisplayName: "Cards",
			Settings: map[string]string{"shop_id": "1", "base_url": "https://pay.example"},
		},
		Overlap: durationpb.New(overlap),
	}
	if key != "" {
		req.Secrets = map[string]string{"signature_key": key}
	}
	if _, err := s.PutProviderAccount(ctx, req); err != nil {
		t.Fatal(err)
	}
}

// secrets are the account's present and old keys.
func (s *Merchants) secrets(t *testing.T) (now, old string) {
	t.Helper()
	acc, _, err := s.Reference.Account(t.Context(), "cards")
	if err != nil {
		t.Fatal(err)
	}
	if was, ok := acc.Previous(); ok {
		old = was.Secrets["signature_key"].Reveal()
	}
	return acc.Secrets["signature_key"].Reveal(), old
}

// TestSecretsAreReplacedWithAnOverlap: the new one signs at once, the old one is
// accepted until the overlap ends, and what is the same replaces nothing.
func TestSecretsAreReplacedWithAnOverlap(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := office(t, memory.New(), keySpec("a"), &now)
	for _, step := range []struct {
		key      string
		overlap  time.Duration
		pass     time.Duration
		now, old string
	}{
		{"one", time.Hour, 0, "one", ""},
		{"two", time.Hour, 0, "two", "one"},
		{"", 0, time.Minute, "two", "one"},          // settings only
		{"two", 0, 0, "two", "one"},                 // a repeat
		{"", 0, time.Hour, "two", ""},               // over
		{"three", time.Hour, 0, "three", "two"},     // again
		{"four", 0, 0, "four", ""},                  // a leak: all old ones end
		{"five", 48 * time.Hour, 0, "five", "four"}, // only the latest is kept
		{"six", time.Hour, 0, "six", "five"},
	} {
		now = now.Add(step.pass)
		s.put(t.Context(), t, step.key, step.overlap)
		if key, old := s.secrets(t); key != step.now || old != step.old {
			t.Errorf("after %q: %q and %q, want %q and %q", step.key, key, old, step.now, step.old)
		}
	}
	_, err := s.PutProviderAccount(t.Context(), &orderv1.PutProviderAccountRequest{
		Account: &orderv1.ProviderAccount{Id: "cards", MerchantId: "acme", Provider: "flexpay", DisplayName: "Cards"}, Overlap: durationpb.New(31 * 24 * time.Hour),
	})
	if fault.KindOf(err) != fault.KindInvalid {
		t.Error(err)
	}
}

// TestReseal: after the key-encryption key was replaced and everything sealed
// anew, the old key is not needed any more.
func TestReseal(t *testing.T) {
	now, engine := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), memory.New()
	before := office(t, engine, keySpec("a"), &now)
	before.put(t.Context(), t, "one", 0)
	before.put(t.Context(), t, "two", time.Hour)
	both := office(t, engine, keySpec("b")+","+keySpec("a"), &now)
	for want := int64(1); want >= 0; want-- {
		if out, err := both.ResealSecrets(t.Context(), &orderv1.ResealSecretsRequest{}); err != nil || out.GetAccounts() != want {
			t.Fatal(out, err)
		}
	}
	after := office(t, engine, keySpec("b"), &now)
	if key, old := after.secrets(t); key != "two" || old != "one" {
		t.Errorf("%q and %q", key, old)
	}
}
