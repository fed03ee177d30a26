package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/standalone"
)

// TestP10GarbageAtTheHTTPEdges: clear refusals, nothing stored, nobody falls over.
func TestP10GarbageAtTheHTTPEdges(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	base := w.public
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, c := range map[string]struct {
		method, path, contentType, body string
		want                            []int
	}{
		"callback of an unknown provider":   {"GET", "/callbacks/nobody/x?a=1", "", "", []int{404}},
		"callback of an unknown account":    {"GET", "/callbacks/flexpay/nobody?a=1", "", "", []int{500}},
		"callback without anything":         {"GET", "/callbacks/flexpay/" + standalone.DemoAccount, "", "", []int{500}},
		"callback with garbage":             {"POST", "/callbacks/flexpay/" + standalone.DemoAccount, "application/json", "{\x00", []int{400, 500}},
		"callback of 10 MB":                 {"POST", "/callbacks/flexpay/" + standalone.DemoAccount, "text/plain", strings.Repeat("x", 10<<20), []int{413}},
		"callback by DELETE":                {"DELETE", "/callbacks/flexpay/" + standalone.DemoAccount, "", "", []int{405}},
		"pay page of nobody":                {"GET", "/pay/" + id.Token(), "", "", []int{404}},
		"pay page by order id":              {"GET", "/pay/" + o.GetId(), "", "", []int{404}},
		"status page of nobody":             {"GET", "/orders/" + id.Token(), "", "", []int{404}},
		"paying with an unknown method":     {"POST", pathOf(t, o.GetPayUrl()), "application/x-www-form-urlencoded", "key=abc&method=nobody", []int{400, 404, 422}},
		"paying with a wrong content type":  {"POST", pathOf(t, o.GetPayUrl()), "application/json", `{"method":"demo-cards"}`, []int{400, 415, 422}},
		"paying with 10 MB":                 {"POST", pathOf(t, o.GetPayUrl()), "application/x-www-form-urlencoded", "key=" + strings.Repeat("x", 10<<20), []int{413}},
		"return of nobody":                  {"GET", "/return/" + id.New("pay"), "", "", []int{404}},
		"return of no attempt":              {"GET", "/return/..%2f..%2fetc", "", "", []int{400, 404}},
		"return with a body of 10 MB":       {"POST", "/return/" + a.GetId(), "application/x-www-form-urlencoded", "a=" + strings.Repeat("x", 10<<20), []int{413}},
		"a path of nobody":                  {"GET", "/nothing/here", "", "", []int{404}},
		"return whose query is no encoding": {"GET", "/return/" + a.GetId() + "?a=%zz;b", "", "", []int{303, 400}},
	} {
		at := base
		if strings.HasPrefix(c.path, "/callbacks/") {
			at = w.edge
		}
		req, err := http.NewRequestWithContext(t.Context(), c.method, at+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.contentType != "" {
			req.Header.Set("Content-Type", c.contentType)
		}
		resp, err := client.Do(req)
		if err != nil {
			if strings.Contains(name, "10 MB") { // the server hung up on it
				continue
			}
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = resp.Body.Close()
		if !slices.Contains(c.want, resp.StatusCode) {
			t.Errorf("%s: status %d, want %v", name, resp.StatusCode, c.want)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no security headers", name)
		}
	}
	w.untouched(o.GetId())
	raw(t, base, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("y", 100<<10)+"\r\n\r\n", "431")
	raw(t, base, "\x16\x03\x01garbage\r\n\r\n", "400")
}

func pathOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// raw sends bytes and expects a status.
func raw(t *testing.T, base, text, want string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, want) {
		t.Errorf("answered %q %v, want %s", line, err, want)
	}
}

// TestP10BadRequestsNameTheField: the gRPC methods of the services beside order
// (which has its own test of this).
func TestP10BadRequestsNameTheField(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a, err := w.payments.StartPayment(t.Context(), &paymentv1.StartPaymentRequest{IdempotencyKey: "k", OrderId: o.GetId(), AccountId: standalone.DemoOffline})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	eur := &orderv1.Money{Minor: 1999, Currency: "EUR"}
	start := func(key, order, account string) error {
		_, err := w.payments.StartPayment(ctx, &paymentv1.StartPaymentRequest{IdempotencyKey: key, OrderId: order, AccountId: account})
		return err
	}
	confirm := func(key string, amount *orderv1.Money, transaction string) error {
		_, err := w.payments.ConfirmOffline(ctx, &paymentv1.ConfirmOfflineRequest{IdempotencyKey: key, AttemptId: a.GetId(), Amount: amount, TransactionId: transaction})
		return err
	}
	endpoint := func(e *notificationv1.Endpoint) error {
		_, err := w.notifications.PutEndpoint(ctx, &notificationv1.PutEndpointRequest{Endpoint: e})
		return err
	}
	_, list := w.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{PageSize: 5000})
	verify := func(wait time.Duration) error {
		_, err := w.verifications.GetVerification(ctx, &verificationv1.GetVerificationRequest{AttemptId: a.GetId(), Wait: durationpb.New(wait)})
		return err
	}
	if err := verify(time.Second); err != nil {
		t.Errorf("an attempt that was only just started: %v", err)
	}
	for name, c := range map[string]struct {
		err   error
		field string
	}{
		"page size":          {list, "page_size"},
		"waiting for ever":   {verify(time.Hour), "wait"},
		"no idempotency key": {start("", o.GetId(), standalone.DemoAccount), "idempotency_key"},
		"unknown account":    {start("x", o.GetId(), "nobody"), "account_id"},
		"negative amount":    {confirm("c1", &orderv1.Money{Minor: -1, Currency: "EUR"}, "t"), "amount"},
		"unknown currency":   {confirm("c2", &orderv1.Money{Minor: 1, Currency: "ZZZ"}, "t"), "amount"},
		"no transaction":     {confirm("c3", eur, ""), "transaction_id"},
		"endpoint on ftp":    {endpoint(&notificationv1.Endpoint{Id: "x", Url: "ftp://example.com"}), "endpoint.url"},
		"endpoint id":        {endpoint(&notificationv1.Endpoint{Id: "../x", Url: "https://example.com"}), "endpoint.id"},
		"endpoint's types":   {endpoint(&notificationv1.Endpoint{Id: "x", Url: "https://example.com", EventTypes: []string{"nothing"}}), "endpoint.event_types"},
		"import of nothing":  {w.importKeys("notepad"), "keys"},
		"import of an empty": {w.importKeys("notepad", ""), "keys"},
		"import of a giant":  {w.importKeys("notepad", strings.Repeat("x", 5000)), "keys"},
	} {
		if fault.KindOf(c.err) != fault.KindInvalid || len(fault.FieldsOf(c.err)) == 0 || !strings.HasPrefix(fault.FieldsOf(c.err)[0].Path, c.field) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if err := w.importKeys("nothing", "K"); fault.KindOf(err) != fault.KindNotFound || !strings.Contains(err.Error(), "product") {
		t.Errorf("import for a product of nobody: %v", err)
	}
	w.untouched(o.GetId())
}

func (w *world) importKeys(product string, keys ...string) error {
	stream, err := w.deliveries.ImportLicenses(w.t.Context())
	if err != nil {
		return err
	}
	if err := stream.Send(&deliveryv1.ImportLicensesRequest{ProductId: product, Keys: keys}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err = stream.CloseAndRecv()
	return err
}

// TestNothingIsLeftRunning: a system that has worked and stops leaves no
// goroutine behind.
func TestNothingIsLeftRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("system", func(t *testing.T) {
		w := start(t, setup{})
		w.untouched(w.order(item("notepad", 1)).GetId())
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestOpenGivesUpCleanly: an address in use is an error that names it, and
// nothing stays open.
func TestOpenGivesUpCleanly(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := config(t.TempDir())
	cfg.HTTPAddr = l.Addr().String()
	_, err = standalone.Open(context.WithoutCancel(t.Context()), cfg, standalone.Options{})
	if err == nil || !strings.Contains(err.Error(), "listen for HTTP") {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
