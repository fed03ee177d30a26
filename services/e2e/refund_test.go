package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// TestP3LicencesAfterARefund: the money of a delivered order goes back, and its
// licence is kept, revoked, or revoked and sold again, as the merchant's pool says.
func TestP3LicencesAfterARefund(t *testing.T) {
	w := start(t, setup{})
	for _, c := range []struct {
		onRefund deliveryv1.Disposition
		// free is what the pool has after the refund, next what the next customer gets.
		revoked, free int64
		next          string
	}{
		{deliveryv1.Disposition_DISPOSITION_KEEP, 0, 0, ""},
		{deliveryv1.Disposition_DISPOSITION_REVOKE, 1, 0, ""},
		{deliveryv1.Disposition_DISPOSITION_RETURN, 1, 1, "the same"},
	} {
		product := w.sell(&orderv1.Product{DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL})
		key := "KEY-" + product
		w.fill(product, key)
		retried(w, w.deliveries.PutPool, &deliveryv1.PutPoolRequest{Settings: &deliveryv1.PoolSettings{ProductId: product, OnRefund: c.onRefund}})

		o := w.order(item(product, 1))
		a := w.startCards(o)
		w.payAtProvider(a, nil)
		w.awaitDelivered(o.GetId())
		if _, err := w.sandbox.Refund(t.Context(), client.RefundOrder{Reference: a.GetReference()}); err != nil {
			t.Fatal(err)
		}
		w.awaitPayment(o.GetId(), orderv1.PaymentState_PAYMENT_STATE_REFUNDED)
		testkit.Eventually(t, patience, func() error {
			pool, err := w.deliveries.GetPool(t.Context(), &deliveryv1.GetPoolRequest{ProductId: product})
			if err != nil || pool.GetFree() != c.free {
				return fmt.Errorf("%s: pool %v, %w", c.onRefund, pool, err)
			}
			d, err := w.deliveries.GetDelivery(t.Context(), &deliveryv1.GetDeliveryRequest{OrderId: o.GetId()})
			if err != nil || d.GetLines()[0].GetRevokedUnits() != c.revoked {
				return fmt.Errorf("%s: delivery %v, %w", c.onRefund, d, err)
			}
			told := strings.Count(strings.Join(w.webhooks(o.GetId()), " "), event.ProductRevoked)
			if (told > 0) != (c.revoked > 0) {
				return fmt.Errorf("%s: %d × product.revoked", c.onRefund, told)
			}
			return nil
		})

		next := w.prepaid(item(product, 1))
		if c.next == "" {
			w.awaitState(next.GetId(), notDelivered, "the merchant must import keys")
			continue
		}
		w.awaitDelivered(next.GetId())
		if keys := w.keys(next.GetId())[1]; !slices.Equal(keys, []string{key}) {
			t.Errorf("%s: the next customer got %v", c.onRefund, keys)
		}
	}
}
