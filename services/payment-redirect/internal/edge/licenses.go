package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/fault"
	"quittance/pkg/web"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Deliveries is what the order page asks of the delivery service, for a
// merchant; its client does it.
type Deliveries interface {
	// GetDelivery reads an order's delivery with its licence keys.
	GetDelivery(ctx context.Context, req *deliveryv1.GetDeliveryRequest, opts ...grpc.CallOption) (*deliveryv1.Delivery, error)
	// ResendEmail sends the licence mail again.
	ResendEmail(ctx context.Context, req *deliveryv1.ResendEmailRequest, opts ...grpc.CallOption) (*deliveryv1.Delivery, error)
}

// licensesWait is how long the order page waits for licence keys: it is true
// without them, and they are in the customer's mail.
const licensesWait = 2 * time.Second

// saidParam tells the order page what became of a form.
const saidParam = "said"

// received adds to the page of an order what was delivered, where the merchant
// allows it, and a way to have it sent again.
func (p *Pages) received(r *http.Request, o *orderv1.Order, data *page) {
	if p.checkout.Deliveries == nil || !reached(o) {
		return
	}
	data.Resend = keep(r, p.orderPath(o)+"/resend")
	switch r.URL.Query().Get(saidParam) {
	case "resent":
		data.Note = data.T("order.resent")
	case "failed":
		data.Note = data.T("order.resend_failed")
	}
	m, err := p.checkout.Reference.Merchant(r.Context(), o.GetMerchantId())
	if err != nil || !m.GetStorefront().GetShowLicenses() {
		return
	}
	ctx, cancel := context.WithTimeout(forMerchant(r.Context(), o.GetMerchantId()), licensesWait)
	defer cancel()
	d, err := p.checkout.Deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: o.GetId()})
	if err != nil {
		web.Annotate(r.Context(), slog.Any("problem", fault.FromStatus(err)))
		data.Note = data.T("order.licences_down")
		return
	}
	names := map[int32]string{}
	for _, l := range o.GetLines() {
		names[l.GetNumber()] = l.GetName()
	}
	for _, l := range d.GetLines() {
		if keys := goodKeys(l, d.GetNextLicensePageToken() != ""); len(keys) > 0 {
			data.Licenses = append(data.Licenses, pageLicense{Name: names[l.GetLineNumber()], Keys: keys})
		}
	}
}

// goodKeys are the keys of a line that the customer may use. The keys stand in
// the order of their units; if some are missing (one is being replaced) nobody can
// tell here which is whose, and with a revoked one among them none is shown: the
// good ones are in the customer's mail.
func goodKeys(l *deliveryv1.DeliveryLine, more bool) []string {
	keys, revoked := l.GetLicenseKeys(), l.GetRevokedUnitNumbers()
	switch {
	case len(revoked) == 0:
		return keys
	case len(revoked) >= len(keys), int64(len(keys)) < l.GetQuantity() && !more:
		return nil
	}
	var good []string
	for i, key := range keys {
		if !slices.Contains(revoked, int32(i+1)) {
			good = append(good, key)
		}
	}
	return good
}

// reached: something of a paid order was delivered.
func reached(o *orderv1.Order) bool {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_CANCELED,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return false
	}
	switch o.GetDeliveryState() {
	case orderv1.DeliveryState_DELIVERY_STATE_DELIVERED, orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED:
		return true
	case orderv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED, orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED:
	}
	return false
}

// resend has the licence mail sent again, to the address of the order.
func (p *Pages) resend(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.failOr(w, r, err, page{Again: keep(r, p.path("/orders/"+r.PathValue("token")))}) // the button is there
		return
	}
	said := "resent"
	if p.checkout.Deliveries == nil || !reached(o) {
		redirect(w, keep(r, p.orderPath(o)))
		return
	}
	if p.lately.may(o.GetId(), p.checkout.Attempts.Now()) {
		ctx, cancel := context.WithTimeout(forMerchant(r.Context(), o.GetMerchantId()), lookupWait)
		defer cancel()
		if _, err := p.checkout.Deliveries.ResendEmail(ctx, &deliveryv1.ResendEmailRequest{OrderId: o.GetId()}); err != nil {
			web.Annotate(r.Context(), slog.Any("problem", fmt.Errorf("send mail again: %w", fault.FromStatus(err))))
			said = "failed"
			p.lately.forget(o.GetId())
		}
	}
	redirect(w, keep(r, p.orderPath(o)+"?"+saidParam+"="+said))
}

// lately remembers what was done, so that no button fills a mailbox: once a
// minute per order is enough.
type lately struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	latelyFor = time.Minute
	latelyMax = 10_000
)

// may says whether the order's turn has come, and takes it.
func (l *lately) may(order string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.last[order]; ok && now.Before(t.Add(latelyFor)) {
		return false
	}
	if l.last == nil || len(l.last) >= latelyMax {
		l.last = map[string]time.Time{}
	}
	l.last[order] = now
	return true
}

func (l *lately) forget(order string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.last, order)
}
