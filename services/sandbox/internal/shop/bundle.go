package shop

import (
	"net/http"
	"slices"

	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/internal/page"
)

// What the shop says of the products that it knows.
var blurbs = map[string]string{
	"notepad":  "Write without distraction. One key, yours for good.",
	"backup":   "Every night, by itself. A key for each computer.",
	"handbook": "Everything about both, as a PDF in your mailbox.",
}

// The bundle: products that are cheaper together, by a discount of the
// merchant's that takes off a percentage.
const (
	bundleCode    = "BUNDLE"
	bundlePercent = 20
)

var bundled = []string{"notepad", "backup"}

// bundleOffer is the bundle with its price, and what its parts would cost.
type bundleOffer struct {
	Name, Text    string
	Price, Before money.Amount
}

// bundleOf is the bundle of what is for sale, nil if a part of it is not. The
// price is what the order will say: the discount is rounded down line by line.
func bundleOf(products []offer) *bundleOffer {
	b := &bundleOffer{Name: "Notepad + Backup", Text: "Both together: write, and never lose a line."}
	for _, id := range bundled {
		i := slices.IndexFunc(products, func(o offer) bool { return o.ID == id })
		if i < 0 {
			return nil
		}
		price := products[i].Price
		b.Price.Currency, b.Before.Currency = price.Currency, price.Currency
		b.Before.Minor += price.Minor
		b.Price.Minor += price.Minor - price.Minor*bundlePercent/100
	}
	return b
}

// addBundle adds one of each part of the bundle to an order, at its discount.
func addBundle(req *orderv1.CreateOrderRequest) {
	req.DiscountCode = bundleCode
	for _, id := range bundled {
		i := slices.IndexFunc(req.GetItems(), func(it *orderv1.OrderItem) bool { return it.GetProductId() == id })
		if i < 0 {
			req.Items = append(req.Items, &orderv1.OrderItem{ProductId: id, Quantity: 1})
			continue
		}
		req.Items[i].Quantity++
	}
}

var termsPage = page.Parse(files, "terms.html")

// terms shows what the checkout's links lead to.
func terms(title string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { page.Write(w, http.StatusOK, termsPage, title) }
}
