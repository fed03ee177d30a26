// Package shop owns a demo storefront, as a merchant would write one: it knows the system's public gRPC API and nothing
// else of it.
//
// It takes a target and an API key (now or later) and gives pages: the catalogue with a basket, and the page to which
// the customer comes back. Its memory of which order belongs to which return is a ledger.
package shop

import (
	"errors"
	"net/http"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"

	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/internal/control"
	"quittance/services/sandbox/internal/ledger"
)

// Prefix of the shop's pages.
const Prefix = "/shop"

// Config of a shop.
type Config struct {
	// Dir holds the ledger.
	Dir string
	// Target is the address of the public gRPC API; Dialer reaches it some other way than by TCP.
	Target string
	Dialer rpc.Dialer
	// APIKey is the merchant's; empty: the one that was set last.
	APIKey seal.Secret
	// PublicURL is where browsers reach the sandbox, without a slash at the end.
	PublicURL string
	// Currency is the one preferred of those that products have prices in.
	Currency string
}

// Shop is the storefront.
type Shop struct {
	config Config
	ledger *ledger.Ledger[record]

	mu     sync.Mutex
	key    seal.Secret
	conn   *grpc.ClientConn
	orders map[string]string // order ids by the basket's key
}

// record is a line of the ledger: a new API key, or the order that a basket became.
type record struct {
	APIKey  string `json:"apiKey,omitempty"`
	Basket  string `json:"basket,omitempty"`
	OrderID string `json:"orderID,omitempty"`
}

var errNoKey = errors.New("the shop has no API key yet")

// New opens the ledger. It does not connect.
func New(config Config) (*Shop, error) {
	s := &Shop{config: config, orders: map[string]string{}}
	var err error
	s.ledger, err = ledger.Open(filepath.Join(config.Dir, "shop.jsonl"), func(r record) error {
		if r.APIKey != "" {
			s.key = seal.Secret(r.APIKey)
		}
		if r.Basket != "" {
			s.orders[r.Basket] = r.OrderID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if config.APIKey != "" {
		return s, s.SetAPIKey(config.APIKey)
	}
	return s, nil
}

// SetAPIKey makes the shop use another key from now on, also after a restart.
func (s *Shop) SetAPIKey(key seal.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == s.key {
		return nil
	}
	if err := s.ledger.Append(record{APIKey: key.Reveal()}); err != nil {
		return err
	}
	s.key = key
	return s.hangUp()
}

// hangUp drops the connection, which carries the key. Calls under way fail, as they might at any time.
func (s *Shop) hangUp() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

// api gives the connection, made with the current key.
func (s *Shop) api() (orderv1.OrderServiceClient, orderv1.CatalogServiceClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == "" {
		return nil, nil, errNoKey
	}
	if s.conn == nil {
		conn, err := rpc.Dial(s.config.Target, rpc.DialOptions{APIKey: s.key, Dialer: s.config.Dialer})
		if err != nil {
			return nil, nil, err
		}
		s.conn = conn
	}
	return orderv1.NewOrderServiceClient(s.conn), orderv1.NewCatalogServiceClient(s.conn), nil
}

func (s *Shop) remember(basket, orderID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders[basket] == orderID {
		return nil
	}
	if err := s.ledger.Append(record{Basket: basket, OrderID: orderID}); err != nil {
		return err
	}
	s.orders[basket] = orderID
	return nil
}

func (s *Shop) orderOf(basket string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orders[basket]
}

// Routes adds the shop's pages, and its control API below /control.
func (s *Shop) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+Prefix+"/{$}", s.catalogue)
	mux.HandleFunc("POST "+Prefix+"/buy", s.buy)
	mux.HandleFunc("GET "+Prefix+"/return", s.back)
	mux.HandleFunc("GET "+Prefix+"/terms", terms("Terms of sale"))
	mux.HandleFunc("GET "+Prefix+"/privacy", terms("Privacy"))
	mux.HandleFunc("GET /control/shop", control.Handle(func(*http.Request) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return Status{Target: s.config.Target, HasAPIKey: s.key != ""}, nil
	}))
	mux.HandleFunc("PUT /control/shop", control.Handle(func(r *http.Request) (any, error) {
		setting, err := control.Decode[Setting](r)
		if err != nil {
			return nil, err
		}
		if setting.APIKey == "" {
			return nil, control.Fail(http.StatusBadRequest, "apiKey: missing")
		}
		return nil, s.SetAPIKey(seal.Secret(setting.APIKey))
	}))
}

// Setting is what the control API can change of the shop.
type Setting struct {
	APIKey string `json:"apiKey"`
}

// Status is what the control API tells of the shop.
type Status struct {
	Target    string `json:"target"`
	HasAPIKey bool   `json:"hasAPIKey"`
}

// Close ends the connection and the ledger.
func (s *Shop) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.hangUp(), s.ledger.Close())
}
