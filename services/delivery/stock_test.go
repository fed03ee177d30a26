package delivery_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// TestStock: free licences count, held and another merchant's do not, and
// nothing is held by asking.
func TestStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		if _, err := importAs(t, s, merchant, &deliveryv1.ImportLicensesRequest{ProductId: "tool", Keys: keys("K", 1000)}); err != nil {
			t.Fatal(err)
		}
		fill(t, s, "tool", "one more", "and another")
		fill(t, s, "game", "A")
		pay(t, s, paid("ord_1", line{product: "game", quantity: 1}))
		short := func(merchant string, wanted ...*deliveryv1.WantedStock) []string {
			t.Helper()
			out, err := s.replica(0).stock.CheckStock(t.Context(), &deliveryv1.CheckStockRequest{MerchantId: merchant, Wanted: wanted})
			if err != nil {
				t.Fatal(err)
			}
			return out.GetShortProductIds()
		}
		want := func(product string, quantity int64) *deliveryv1.WantedStock {
			return &deliveryv1.WantedStock{ProductId: product, Quantity: quantity}
		}
		for range 2 {
			if got := short(merchant, want("tool", 1002), want("tool", 1)); len(got) != 0 {
				t.Errorf("short of %v", got)
			}
		}
		if got := short(merchant, want("tool", 1003), want("game", 1), want("none", 1)); !slices.Equal(got, []string{"tool", "game", "none"}) {
			t.Errorf("short of %v", got)
		}
		if got := short("rival", want("tool", 1)); !slices.Equal(got, []string{"tool"}) {
			t.Errorf("another merchant's stock counts: %v", got)
		}
		if _, err := s.replica(0).stock.CheckStock(t.Context(), &deliveryv1.CheckStockRequest{}); fault.KindOf(err) != fault.KindInvalid {
			t.Error(err)
		}
	})
}
