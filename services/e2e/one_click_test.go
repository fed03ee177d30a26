package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// orderOf creates an order of a user who is logged in at the shop.
func (w *world) orderOf(user string, items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	return retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email, Name: "Ada"},
		Items: items, ReturnUrl: w.shop + "/shop/return?shop=kept", UserId: user,
	})
}

// TestS1OneClick: a user whom the shop knows buys by card, and the next time with
// one click; another user of the same address is offered none. A token that is
// declined is forgotten, and the order is paid by the ordinary way.
func TestS1OneClick(t *testing.T) {
	var logs syncBuffer
	w := start(t, setup{
		config: func(c *standalone.Config) { c.Telemetry.Output, c.Telemetry.Level = &logs, slog.LevelDebug },
		fleet:  fleetSetup{env: func(string, int) []string { return []string{"QUITTANCE_LOG_LEVEL=debug"} }},
	})
	saved := func(user string) []*paymentv1.SavedPayment {
		return retried(w, w.payments.ListSavedPayments, &paymentv1.ListSavedPaymentsRequest{UserId: user}).GetSavedPayments()
	}
	forgotten := func(want bool) {
		t.Helper()
		testkit.Eventually(t, patience, func() error {
			if got := saved("ada"); (len(got) == 0) != want {
				return fmt.Errorf("saved %v", got)
			}
			return nil
		})
	}
	first := w.orderOf("ada", item("notepad", 1))
	w.pay(first, client.Pay{})
	w.awaitDelivered(first.GetId())
	forgotten(false)

	const choice = "saved:" + standalone.DemoAccount
	second := w.orderOf("ada", item("notepad", 1))
	visit := w.pay(second, client.Pay{Method: choice})
	token := tokenSent(visit)
	if token == "" {
		t.Fatalf("visited %v", visit.URLs)
	}
	w.awaitDelivered(second.GetId())
	unreadable(t, w.kept, token)
	if w.fleet != nil {
		_, _ = logs.Write([]byte(w.fleet.logs()))
	}
	if said := logs.String(); said == "" || strings.Contains(said, token) {
		t.Errorf("%d bytes of log, a token in it: %t", len(said), said != "")
	}

	other := w.orderOf("eve", item("notepad", 1))
	if list := retried(w, w.payments.ListMethods, &paymentv1.ListMethodsRequest{OrderId: other.GetId()}); slices.ContainsFunc(list.GetMethods(), (*paymentv1.Method).GetSaved) {
		t.Errorf("eve is offered %v", list)
	}

	third := w.orderOf("ada", item("notepad", 1))
	w.pay(third, client.Pay{Method: choice, Action: "decline"})
	forgotten(true)
	w.pay(third, client.Pay{})
	w.awaitDelivered(third.GetId())
	forgotten(false)
}

// TestS5ATokenThatNobodySigned: a token that somebody puts into a made-up postback,
// or in the place of the one that the vendor has signed, is refused with all
// the rest, and the vendor's own is the one that pays the next time.
func TestS5ATokenThatNobodySigned(t *testing.T) {
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond }})
	const planted = "a-token-somebody-made-up"
	first := w.orderOf("ada", item("notepad", 1))
	a := w.startCards(first)
	visit := w.payAtProvider(a, map[string]string{"fault.dropPostback": "on", "fault.noRefund": "on", "fault.status": string(client.StatusDown)})
	swapped, err := url.ParseQuery(dataBack(t, visit))
	if err != nil || swapped.Get("oneClickToken") == "" {
		t.Fatalf("%v %v", swapped, err)
	}
	swapped.Set("oneClickToken", planted)
	added, err := url.ParseQuery(dataBack(t, visit))
	if err != nil {
		t.Fatal(err)
	}
	added.Add("oneClickToken", planted)
	for _, data := range []url.Values{
		swapped, added,
		{"referenceID": {a.GetReference()}, "saleID": {"1"}, "signature": {strings.Repeat("0", 64)}, "oneClickToken": {planted}},
	} {
		if status, body := get(t, w.edge+"/callbacks/flexpay/"+standalone.DemoAccount+"?"+data.Encode()); status != http.StatusInternalServerError || body != "ERROR - Invalid signature!" {
			t.Errorf("%v is answered %d %q", data, status, body)
		}
	}
	if err := w.sandbox.SetFault(t.Context(), a.GetReference(), client.Faults{}); err != nil {
		t.Fatal(err)
	}
	retried(w, w.verifications.VerifyNow, &verificationv1.VerifyNowRequest{AttemptId: a.GetId()})
	w.awaitDelivered(first.GetId())
	testkit.Eventually(t, patience, func() error {
		if saved := retried(w, w.payments.ListSavedPayments, &paymentv1.ListSavedPaymentsRequest{UserId: "ada"}); len(saved.GetSavedPayments()) != 1 {
			return fmt.Errorf("saved %v", saved)
		}
		return nil
	})
	again := w.pay(w.orderOf("ada", item("notepad", 1)), client.Pay{Method: "saved:" + standalone.DemoAccount})
	if sent := tokenSent(again); sent == "" || sent == planted {
		t.Fatalf("the vendor is sent token %q", sent)
	}
}

// tokenSent is the one-click token with which a browser was sent to the vendor.
func tokenSent(visit client.Visit) string {
	for _, address := range visit.URLs {
		if u, err := url.Parse(address); err == nil && strings.HasSuffix(u.Path, "/startorder") {
			return u.Query().Get("oneClickToken")
		}
	}
	return ""
}

// unreadable fails if a secret is in any file of these directories; the
// sandbox, where it comes from, may have it, and so may what standalone keeps
// beside the stores for the people who try it.
func unreadable(t *testing.T, dirs []string, secret string) {
	t.Helper()
	for _, dir := range dirs {
		if looked, err := look(t, dir, secret); err != nil || looked == 0 {
			t.Errorf("%d files looked at: %v", looked, err)
		}
	}
}

func look(t *testing.T, dir, secret string) (looked int, err error) {
	t.Helper()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // taken away meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "sandbox":
			return fs.SkipDir
		case !d.Type().IsRegular(), d.Name() == "demo-api-key", d.Name() == "sandbox-signature-key":
			return nil
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s has the secret", path)
		}
		looked++
		return err
	})
	return looked, err
}

// syncBuffer is a buffer that many may write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
