package paymentredirect

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/event"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/payment-redirect/internal/attempts"
	"quittance/services/payment-redirect/internal/edge"
	"quittance/services/payment-redirect/internal/fulfillments"
	"quittance/services/payment-redirect/internal/handle"
	"quittance/services/payment-redirect/internal/savedpayments"
	"quittance/services/payment-redirect/internal/sessions"
)

// Name is the service's name on the bus and in logs.
const Name = "payment"

// Stylesheet is the path of the style sheet, for pages that are made elsewhere
// (errors).
const Stylesheet = edge.Stylesheet

// defaultReturnWait is how long a returning browser waits by default.
const defaultReturnWait = 5 * time.Second

// defaultAccessFor is how long an access token holds by default.
const defaultAccessFor = 30 * time.Minute

// Config is what the service itself needs to know.
type Config struct {
	// PublicURL is where customers reach /pay, /return and /orders.
	PublicURL string `env:"PUBLIC_URL,required" doc:"Base URL at which customers reach the pay pages"`
	// CallbackURL is where providers reach /callbacks (callback-ingest).
	CallbackURL string `env:"CALLBACK_URL,required" doc:"Base URL at which providers reach the callbacks"`
	// ReturnWait is how long a returning browser waits for the provider's
	// answer: 5 s.
	ReturnWait time.Duration `env:"RETURN_WAIT" envDefault:"5s" doc:"How long a returning customer waits for the provider's answer"`
	// DeliveryAddr is where the delivery service is asked for its stock and, for
	// order pages, for licence keys, in processes of their own.
	DeliveryAddr string `env:"DELIVERY_ADDR" doc:"Internal gRPC address of the delivery service, for shops that want stock checked before a payment, and for licence keys on order pages; neither if empty"`
	// AccessFor is how long after a payment its customer's access token holds.
	AccessFor time.Duration `env:"ACCESS_FOR" envDefault:"30m" doc:"How long after the payment the access token of a customer who came back paid holds"`
}

// Service is the payment-redirect service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference *reference.Copy
	payments  *edge.Payments
	pages     *edge.Pages
}

// New opens the service's store and wires its parts. orders leads to the order
// service's internal listener.
func New(ctx context.Context, d service.Deps, cfg Config, orders grpc.ClientConnInterface) (*Service, error) {
	publicURL, err := baseURL(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	callbackURL, err := baseURL(cfg.CallbackURL)
	if err != nil {
		return nil, fmt.Errorf("callback URL: %w", err)
	}
	if cfg.AccessFor <= 0 {
		cfg.AccessFor = defaultAccessFor
	}
	if cfg.ReturnWait <= 0 {
		cfg.ReturnWait = defaultReturnWait
	}
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	ref, err := reference.Follow(ctx, base, orders)
	if err != nil {
		return nil, err
	}
	as, err := attempts.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	fs, err := fulfillments.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	saved, err := savedpayments.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	ss, err := sessions.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	h := &handle.Handlers{Attempts: as, Saved: saved, Fulfillments: fs, Sessions: ss}
	base.On(event.PaymentVerified, h.PaymentVerified)
	base.On(event.FulfillmentAcknowledged, h.FulfillmentAcknowledged)
	if err := service.Erases(ctx, base, h.Erase); err != nil {
		return nil, err
	}

	checkout := &edge.Checkout{
		Attempts: as, Saved: saved, Fulfillments: fs, Orders: orderv1.NewReferenceServiceClient(orders), Reference: ref,
		Placing: orderv1.NewOrderServiceClient(orders), Keyring: d.Keyring,
		Providers: registry.New(&http.Client{}), PublicURL: publicURL, CallbackURL: callbackURL,
		AccessFor: cfg.AccessFor,
	}
	as.CreateBy(checkout.Create)
	pages, err := edge.NewPages(checkout, ss, cfg.ReturnWait)
	if err != nil {
		return nil, err
	}
	return &Service{base: base, Reference: ref, payments: &edge.Payments{Checkout: checkout}, pages: pages}, nil
}

// AskDelivery has stock and licence keys asked for over a connection to the delivery service's
// internal listener, for the shops that want it. Call it before the edges serve.
func (s *Service) AskDelivery(delivery grpc.ClientConnInterface) {
	s.payments.Checkout.Stock = deliveryv1.NewStockServiceClient(delivery)
	s.payments.Checkout.Deliveries = deliveryv1.NewDeliveryServiceClient(delivery)
}

// baseURL checks that paths can be added to a URL.
func baseURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not an absolute http or https URL without query", raw)
	}
	return strings.TrimRight(raw, "/"), nil
}

// Routes adds the pages of customers.
func (s *Service) Routes(mux *http.ServeMux) { s.pages.Routes(mux) }

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public listener; there is nothing for
// the internal one.
func (s *Service) Register(public, _ grpc.ServiceRegistrar) {
	paymentv1.RegisterPaymentServiceServer(public, s.payments)
}

// Run does the service's work until ctx is done.
func (s *Service) Run(ctx context.Context) error { return s.base.Run(ctx) }
