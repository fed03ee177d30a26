package vendor

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"quittance/services/sandbox/internal/ledger"
)

// Errors of the book.
var (
	ErrNoPayment = errors.New("no such payment")
	// ErrUnchanged, returned by a change, leaves the payment as it was.
	ErrUnchanged = errors.New("nothing to change")
)

// record is a line of the ledger: the new version of one thing.
type record struct {
	Shop    *Shop        `json:"shop,omitempty"`
	Payment *Payment     `json:"payment,omitempty"`
	Faults  *FaultRecord `json:"faults,omitempty"`
}

// Book is a vendor's: shops, payments and faults. What a method has changed is on the disk when it returns.
type Book struct {
	Faults *Desk
	ledger *ledger.Ledger[record]
	// wake tells that there may be tasks.
	wake chan struct{}

	mu       sync.Mutex
	shops    map[string]Shop
	payments map[string]Payment // by token
	order    []string           // tokens, oldest first
	byID     map[string]string  // tokens
	busy     map[string]bool    // tasks under way, by id
}

// OpenBook opens the book in a file.
func OpenBook(path string) (*Book, error) {
	b := &Book{wake: make(chan struct{}, 1), shops: map[string]Shop{}, payments: map[string]Payment{}, byID: map[string]string{}, busy: map[string]bool{}}
	b.Faults = NewDesk(func(r FaultRecord) error { return b.ledger.Append(record{Faults: &r}) })
	var err error
	b.ledger, err = ledger.Open(path, func(r record) error { b.apply(r); return nil })
	return b, err
}

// Close closes the file.
func (b *Book) Close() error { return b.ledger.Close() }

func (b *Book) apply(r record) {
	if r.Shop != nil {
		b.shops[r.Shop.ID] = *r.Shop
	}
	if r.Faults != nil {
		b.Faults.Replay(*r.Faults)
	}
	if r.Payment == nil {
		return
	}
	if _, known := b.payments[r.Payment.Token]; !known {
		b.order = append(b.order, r.Payment.Token)
	}
	b.payments[r.Payment.Token] = *r.Payment
	if r.Payment.ID != "" {
		b.byID[r.Payment.ID] = r.Payment.Token
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// write makes a record durable, then valid. The caller holds mu.
func (b *Book) write(r record) error {
	if err := b.ledger.Append(r); err != nil {
		return err
	}
	b.apply(r)
	return nil
}

// PutShop registers a shop.
func (b *Book) PutShop(shop Shop) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.shops[shop.ID]; ok && maps.Equal(known.Settings, shop.Settings) {
		return nil
	}
	return b.write(record{Shop: &shop})
}

// Shop finds a shop by id; Shops lists them.
func (b *Book) Shop(id string) (Shop, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shop, ok := b.shops[id]
	return shop, ok
}

// Shops lists the shops by id.
func (b *Book) Shops() []Shop {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.shops), func(x, y Shop) int { return strings.Compare(x.ID, y.ID) })
}

// Enter adds a payment.
func (b *Book) Enter(p Payment) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.write(record{Payment: &p})
}

// Update changes a payment through change, which sees the latest version. An error of change leaves it as it was; for
// ErrUnchanged the payment is returned.
func (b *Book) Update(token string, change func(*Payment) error) (Payment, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.payments[token]
	if !ok {
		return Payment{}, ErrNoPayment
	}
	p := known.clone()
	if err := change(&p); err != nil {
		return known, err
	}
	return p, b.write(record{Payment: &p})
}

// Payment finds a payment by its token, ByID by the vendor's id.
func (b *Book) Payment(token string) (Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.payments[token]
	return p, ok
}

// ByID finds a payment by the vendor's id.
func (b *Book) ByID(id string) (Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	token, ok := b.byID[id]
	return b.payments[token], ok
}

// List gives the payments of a reference, newest first; all of them if it is empty.
func (b *Book) List(reference string) []Payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	payments := []Payment{}
	for _, token := range slices.Backward(b.order) {
		if p := b.payments[token]; reference == "" || p.Reference == reference {
			payments = append(payments, p)
		}
	}
	return payments
}

// job is a task and whose it is.
type job struct {
	token string
	task  Task
}

// take gives the tasks that are due and not under way, and says when the next one is.
func (b *Book) take(now time.Time) (due []job, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for token, p := range b.payments {
		for _, t := range p.Tasks {
			switch {
			case b.busy[t.ID]:
			case !t.At.After(now):
				b.busy[t.ID] = true
				due = append(due, job{token, t})
			case next.IsZero() || t.At.Before(next):
				next = t.At
			}
		}
	}
	return due, next
}

// done strikes a task out.
func (b *Book) done(token, task string) error {
	_, err := b.Update(token, func(p *Payment) error {
		p.Tasks = slices.DeleteFunc(p.Tasks, func(t Task) bool { return t.ID == task })
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.busy, task)
	return err
}
