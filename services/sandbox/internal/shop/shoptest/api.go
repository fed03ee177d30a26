// Package shoptest owns a stand-in for the system's public API, for tests of the shop: real gRPC, one merchant, orders in
// a map.
package shoptest

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Key is the API key that the stand-in takes.
const Key = "the-merchants-key"

// API is the stand-in.
type API struct {
	orderv1.UnimplementedOrderServiceServer
	orderv1.UnimplementedCatalogServiceServer
	// Target is its address.
	Target string
	// PayURL is what orders' pay URLs start with.
	PayURL string

	mu       sync.Mutex
	products []*orderv1.Product
	requests map[string]*orderv1.CreateOrderRequest
	orders   map[string]*orderv1.Order
}

// Start serves a stand-in with these products until the test ends.
func Start(t *testing.T, payURL string, products ...*orderv1.Product) *API {
	t.Helper()
	api := &API{PayURL: payURL, products: products,
		requests: map[string]*orderv1.CreateOrderRequest{}, orders: map[string]*orderv1.Order{}}
	server, err := rpc.NewServer(rpc.ServerOptions{Authenticator: api, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterOrderServiceServer(server.Registrar(), api)
	orderv1.RegisterCatalogServiceServer(server.Registrar(), api)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api.Target = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stand-in for the API: %v", err)
		}
	})
	return api
}

// Product gives a product with prices in euros and dollars.
func Product(productID, name string, minor int64) *orderv1.Product {
	return &orderv1.Product{Id: productID, Name: name, Prices: []*orderv1.Money{
		{Minor: minor, Currency: "EUR"}, {Minor: minor + 100, Currency: "USD"},
	}}
}

// Add puts more products up for sale.
func (a *API) Add(products ...*orderv1.Product) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.products = append(a.products, products...)
}

// Orders lists the ids of all orders.
func (a *API) Orders() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for orderID := range a.orders {
		ids = append(ids, orderID)
	}
	return ids
}

// Change changes an order as the system would by itself.
func (a *API) Change(orderID string, change func(*orderv1.Order)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a.orders[orderID])
}

// Order gives an order, nil if there is none.
func (a *API) Order(orderID string) *orderv1.Order {
	a.mu.Lock()
	defer a.mu.Unlock()
	return proto.CloneOf(a.orders[orderID])
}

// AuthenticateMerchant implements rpc.Authenticator.
func (a *API) AuthenticateMerchant(_ context.Context, key string) (string, error) {
	if key != Key {
		return "", fault.Unauthenticated("unknown API key")
	}
	return "demo", nil
}

// ListProducts gives two products per page.
func (a *API) ListProducts(_ context.Context, req *orderv1.ListProductsRequest) (*orderv1.ListProductsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := slices.IndexFunc(a.products, func(p *orderv1.Product) bool { return p.GetId() == req.GetPageToken() }) + 1
	to := min(from+2, len(a.products))
	resp := &orderv1.ListProductsResponse{Products: a.products[from:to]}
	if to < len(a.products) {
		resp.NextPageToken = a.products[to-1].GetId()
	}
	return resp, nil
}

// CreateOrder knows idempotency keys and refuses what the system would.
func (a *API) CreateOrder(_ context.Context, req *orderv1.CreateOrderRequest) (*orderv1.Order, error) {
	orderID := id.Derived("ord", req.GetIdempotencyKey())
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.requests[orderID]; known != nil {
		if !proto.Equal(known, req) {
			return nil, fault.Conflict("idempotency_key was used for a different request")
		}
		return proto.CloneOf(a.orders[orderID]), nil
	}
	if req.GetCustomer().GetEmail() == "" {
		return nil, fault.Invalid("customer.email", "must be an address")
	}
	order := &orderv1.Order{
		Id: orderID, Customer: req.GetCustomer(), ReturnUrl: req.GetReturnUrl(), DiscountCode: req.GetDiscountCode(), PayUrl: a.PayURL + orderID,
		PaymentState:  orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		Total:         &orderv1.Money{Currency: req.GetCurrency()},
	}
	for _, item := range req.GetItems() {
		line, err := a.line(item, req.GetCurrency())
		if err != nil {
			return nil, err
		}
		order.Lines = append(order.Lines, line)
		order.Total.Minor += line.GetAmount().GetMinor()
	}
	a.requests[orderID], a.orders[orderID] = proto.CloneOf(req), order
	return proto.CloneOf(order), nil
}

func (a *API) line(item *orderv1.OrderItem, currency string) (*orderv1.Line, error) {
	for _, p := range a.products {
		for _, price := range p.GetPrices() {
			if p.GetId() == item.GetProductId() && price.GetCurrency() == currency {
				return &orderv1.Line{
					ProductId: p.GetId(), Name: p.GetName(), Quantity: item.GetQuantity(),
					Amount:        &orderv1.Money{Minor: price.GetMinor() * item.GetQuantity(), Currency: currency},
					DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
				}, nil
			}
		}
	}
	return nil, fault.Invalid("items", "no product %q is for sale", item.GetProductId())
}

// GetOrder implements OrderService.
func (a *API) GetOrder(_ context.Context, req *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	order := a.Order(req.GetOrderId())
	if order == nil {
		return nil, fault.NotFound("order %q", req.GetOrderId())
	}
	return order, nil
}
