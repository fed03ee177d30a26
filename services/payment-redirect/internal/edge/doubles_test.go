package edge_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// orders is an order service that holds what tests put there.
type orders struct {
	orderv1.UnimplementedReferenceServiceServer
	mu   sync.Mutex
	byID map[string]*orderv1.Order
	down bool
	// lose loses the answer of the next order created.
	lose bool
}

// serve runs the server and returns a connection to it.
func (s *orders) serve(t testing.TB) grpc.ClientConnInterface {
	t.Helper()
	const token = seal.Secret("a service's token")
	server, err := rpc.NewServer(rpc.ServerOptions{
		Listener: rpc.Internal, ServiceToken: token, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterReferenceServiceServer(server.Registrar(), s)
	listener, dial := rpc.InProcess()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	conn, err := rpc.Dial("order", rpc.DialOptions{ServiceToken: token, Dialer: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("order service ended: %v", err)
		}
	})
	return conn
}

func (s *orders) GetOrderForService(_ context.Context, req *orderv1.GetOrderForServiceRequest) (*orderv1.Order, error) {
	return s.find(func(o *orderv1.Order) bool { return o.GetId() == req.GetOrderId() })
}

func (s *orders) GetOrderByToken(_ context.Context, req *orderv1.GetOrderByTokenRequest) (*orderv1.Order, error) {
	return s.find(func(o *orderv1.Order) bool { return strings.HasSuffix(o.GetPayUrl(), "/pay/"+req.GetToken()) })
}

func (s *orders) find(match func(*orderv1.Order) bool) (*orderv1.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, fault.Unavailable("the order service is down")
	}
	for _, o := range s.byID {
		if match(o) {
			return proto.CloneOf(o), nil
		}
	}
	return nil, fault.NotFound("order")
}

// change changes an order, or the service.
func (s *orders) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// add puts an unpaid order there and returns it with its token.
func (s *orders) add(changes ...func(*orderv1.Order)) (*orderv1.Order, string) {
	token := id.Token()
	o := &orderv1.Order{
		Id: id.New("ord"), MerchantId: merchant, Customer: &orderv1.Customer{Email: "jo@example.org", Name: "Jo Personal"},
		Lines: []*orderv1.Line{
			{Number: 1, Name: "Notepad", Quantity: 2, Amount: &orderv1.Money{Minor: 1998, Currency: "EUR"}},
			{Number: 2, Name: "Backup", Quantity: 1, Amount: &orderv1.Money{Minor: 501, Currency: "EUR"}},
		},
		Total:        &orderv1.Money{Minor: 2499, Currency: "EUR"},
		PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		CreateTime: timestamppb.Now(), ReturnUrl: "https://shop.example.org/thanks?cart=7&fulfillmentStatus=success",
		PayUrl: publicURL + "/pay/" + token,
	}
	for _, change := range changes {
		change(o)
	}
	s.change(func() { s.byID[o.GetId()] = o })
	return o, token
}

// paper is a provider that is reached with a form and believes in words:
// result=cancel, result=fail; sig=bad is unreadable, ref is its reference.
type paper struct{}

func (paper) Name() string                        { return "paper" }
func (paper) CheckAccount(provider.Account) error { return nil }

func (paper) Redirect(_ provider.Account, a provider.Attempt) (provider.Redirect, error) {
	return provider.Redirect{Method: http.MethodPost, URL: "https://paper.example.net/start", Fields: map[string]string{
		"ref": a.Reference, "back": a.ReturnURL, "callback": a.CallbackURL, "text": a.Description, "mail": a.Email,
	}}, nil
}

func (paper) ParseReturn(_ provider.Account, v url.Values) (provider.Return, error) {
	if v.Get("sig") == "bad" {
		return provider.Return{}, errors.New("bad signature")
	}
	return provider.Return{
		Canceled: v.Get("result") == "cancel", Failed: v.Get("result") == "fail", ProviderReference: v.Get("ref"),
	}, nil
}

var (
	_ provider.Redirector = paper{}
	_ provider.Returner   = paper{}
)
