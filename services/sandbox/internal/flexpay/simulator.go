// Package flexpay owns a simulated FlexPay: the vendor's order page, postbacks, status API and book, on the real wire.
//
// It takes the browser with a signed order and gives it back with signed data, tells the shop by postbacks, answers
// signed questions about sales, and misbehaves on demand (Faults). Signatures are those of pkg/provider/flexpay, which
// the vendor's vectors prove; what an order may contain is checked here anew, from docs/providers.md.
//
// A card sale whose postback is not answered OK is given back, as the vendor does. How often and how fast the vendor
// tries is not public; here it is Config.
package flexpay

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/vendor"
)

// Prefix of the simulator's paths; the base_url of an account ends with it.
const Prefix = "/flexpay"

// Config of a simulator.
type Config struct {
	// Dir holds the book.
	Dir string
	// Shops are registered at every start, besides those that the book remembers.
	Shops []Shop
	// Tries, Pause and Timeout: how often a purchase's postback is tried, how long after the first failure it is tried
	// again (twice as long after each further one), and how long an answer is waited for.
	Tries   int
	Pause   time.Duration
	Timeout time.Duration
	Now     func() time.Time
	Log     *slog.Logger
}

// Simulator plays the vendor.
type Simulator struct {
	config Config
	book   *book
	sender *vendor.Sender
	// queue holds tokens of paid sales whose postback has to be tried (again).
	queue chan string
}

// New opens the book.
func New(config Config) (*Simulator, error) {
	b, err := openBook(filepath.Join(config.Dir, "flexpay.jsonl"))
	if err != nil {
		return nil, err
	}
	s := &Simulator{
		config: config,
		book:   b,
		queue:  make(chan string, 1024),
		sender: vendor.NewSender(config.Timeout, config.Now),
	}
	for _, shop := range config.Shops {
		if err := s.register(shop); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Routes adds the vendor's pages and APIs, and the control API below /control.
func (s *Simulator) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+Prefix+wire.OrderPath, s.startOrder)
	mux.HandleFunc("POST "+Prefix+"/pay", s.pay)
	mux.HandleFunc("GET "+Prefix+wire.StatusPath, s.saleStatus)
	mux.HandleFunc("GET "+Prefix+"/{$}", s.showBook)
	s.controls(mux)
}

// Run sends the postbacks that are not sent while the customer waits, first those that a kill has interrupted, until
// ctx is done and the ones under way have ended.
func (s *Simulator) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, sale := range s.book.list(Sale.unfinished) {
		wg.Go(func() { s.tell(ctx, sale.Token) })
	}
	for {
		select {
		case token := <-s.queue:
			wg.Go(func() { s.tell(ctx, token) })
		case <-ctx.Done():
			return nil
		}
	}
}

// Close closes the book.
func (s *Simulator) Close() error { return s.book.ledger.Close() }
