package flexpay

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"quittance/pkg/money"
	"quittance/services/sandbox/internal/ledger"
	"quittance/services/sandbox/internal/vendor"
)

// record is a line of the ledger: the new version of one thing.
type record struct {
	Shop   *Shop               `json:"shop,omitempty"`
	Sale   *Sale               `json:"sale,omitempty"`
	Faults *vendor.FaultRecord `json:"faults,omitempty"`
}

// saleName is one of the names that a sale has at its shop; the other one is empty.
type saleName struct{ shopID, reference, saleID string }

var (
	errNoSale    = errors.New("no such sale")
	errUnchanged = errors.New("nothing to change")
)

// book is the vendor's: shops and sales, and the faults of sales. What a method has changed is on the disk when it returns.
type book struct {
	ledger *ledger.Ledger[record]
	faults *vendor.Desk

	mu    sync.Mutex
	shops map[string]Shop
	sales map[string]Sale // by token
	order []string        // tokens, oldest first
	// byName gives tokens by shop and reference, and by shop and sale id.
	byName map[saleName]string
}

func openBook(path string) (*book, error) {
	b := &book{shops: map[string]Shop{}, sales: map[string]Sale{}, byName: map[saleName]string{}}
	b.faults = vendor.NewDesk(func(r vendor.FaultRecord) error { return b.ledger.Append(record{Faults: &r}) })
	var err error
	b.ledger, err = ledger.Open(path, func(r record) error { b.apply(r); return nil })
	return b, err
}

func (b *book) apply(r record) {
	if r.Shop != nil {
		b.shops[r.Shop.ID] = *r.Shop
	}
	if r.Sale != nil {
		if _, known := b.sales[r.Sale.Token]; !known {
			b.order = append(b.order, r.Sale.Token)
		}
		b.sales[r.Sale.Token] = *r.Sale
		if r.Sale.ReferenceID != "" {
			b.byName[saleName{shopID: r.Sale.ShopID, reference: r.Sale.ReferenceID}] = r.Sale.Token
		}
		if r.Sale.SaleID != "" {
			b.byName[saleName{shopID: r.Sale.ShopID, saleID: r.Sale.SaleID}] = r.Sale.Token
		}
	}
	if r.Faults != nil {
		b.faults.Replay(*r.Faults)
	}
}

// write makes a record durable, then valid. The caller holds mu.
func (b *book) write(r record) error {
	if err := b.ledger.Append(r); err != nil {
		return err
	}
	b.apply(r)
	return nil
}

func (b *book) putShop(shop Shop) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shops[shop.ID] == shop {
		return nil
	}
	return b.write(record{Shop: &shop})
}

func (b *book) shop(id string) (Shop, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shop, ok := b.shops[id]
	return shop, ok
}

func (b *book) allShops() []Shop {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.shops), func(x, y Shop) int { return strings.Compare(x.ID, y.ID) })
}

// enter adds a sale, or gives the one that the shop already has under the same reference.
func (b *book) enter(sale Sale) (Sale, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if token, ok := b.byName[saleName{shopID: sale.ShopID, reference: sale.ReferenceID}]; ok {
		return b.sales[token], nil
	}
	return sale, b.write(record{Sale: &sale})
}

// update changes a sale through change, which sees the latest version. An error of change leaves it as it was; for
// errUnchanged the sale is returned.
func (b *book) update(token string, change func(*Sale) error) (Sale, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.sales[token]
	if !ok {
		return Sale{}, errNoSale
	}
	sale := known.clone()
	if err := change(&sale); err != nil {
		return known, err
	}
	return sale, b.write(record{Sale: &sale})
}

func (b *book) sale(token string) (Sale, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sale, ok := b.sales[token]
	return sale, ok
}

// named gives the sale of that name.
func (b *book) named(name saleName) (Sale, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sale, ok := b.sales[b.byName[name]]
	return sale, ok
}

// find gives the latest sale for which match is true.
func (b *book) find(match func(Sale) bool) (Sale, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, token := range slices.Backward(b.order) {
		if match(b.sales[token]) {
			return b.sales[token], true
		}
	}
	return Sale{}, false
}

// list gives the sales for which match is true, newest first.
func (b *book) list(match func(Sale) bool) []Sale {
	b.mu.Lock()
	defer b.mu.Unlock()
	sales := []Sale{}
	for _, token := range slices.Backward(b.order) {
		if match(b.sales[token]) {
			sales = append(sales, b.sales[token])
		}
	}
	return sales
}

// number gives a fresh id in the vendor's style. It is random rather than counted, because ids given before the book
// was thrown away may still be known elsewhere.
func number() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(9e14))
	if err != nil {
		return "", fmt.Errorf("draw a number: %w", err)
	}
	return n.Add(n, big.NewInt(1e14)).String(), nil
}

// Totals are sums over sales in one currency.
type Totals struct {
	Captured money.Amount `json:"captured"`
	Refunded money.Amount `json:"refunded"`
}

// totalsOf sums per currency, in alphabetical order.
func totalsOf(sales []Sale) ([]Totals, error) {
	sums := map[string]Totals{}
	for _, sale := range sales {
		currency := sale.Amount.Currency
		sum, ok := sums[currency]
		if !ok {
			zero := money.Amount{Currency: currency}
			sum = Totals{zero, zero}
		}
		var err, err2 error
		sum.Captured, err = sum.Captured.Add(sale.Captured)
		sum.Refunded, err2 = sum.Refunded.Add(sale.Refunded)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("sum up: %w", err)
		}
		sums[currency] = sum
	}
	totals := []Totals{}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		totals = append(totals, sums[currency])
	}
	return totals, nil
}
