package flexpay

import (
	"embed"
	"net/http"

	"quittance/services/sandbox/internal/page"
	"quittance/services/sandbox/internal/vendor"
)

//go:embed *.html
var files embed.FS

var (
	orderPage   = vendor.Parse(files, "order.html")
	refusedPage = page.Parse(files, "refused.html")
	leftPage    = page.Parse(files, "left.html")
	bookPage    = page.Parse(files, "book.html")
)

// shown is how many sales the book's page lists.
const shown = 200

type orderView struct {
	Sale
	Problem string
	Settled bool
	Offered []string
	Menu    vendor.Menu
}

func (s *Simulator) showOrder(w http.ResponseWriter, status int, sale Sale, problem string) {
	menu := vendor.MenuOf(s.book.faults.Of(sale.key()))
	menu.AckOrRefund = true
	page.Write(w, status, orderPage, orderView{
		Sale: sale, Problem: problem, Settled: sale.settled(), Offered: offered(sale), Menu: menu,
	})
}

type bookView struct {
	Sales  []Sale
	Totals []Totals
	Shops  []Shop
}

func (s *Simulator) showBook(w http.ResponseWriter, r *http.Request) {
	sales := s.book.list(func(Sale) bool { return true })
	totals, err := totalsOf(sales)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Write(w, http.StatusOK, bookPage, bookView{Sales: sales[:min(len(sales), shown)], Totals: totals, Shops: s.book.allShops()})
}
