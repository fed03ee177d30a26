package edge

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"quittance/pkg/provider/offline"
	"quittance/pkg/returns"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// The order page looks again after refresh, and after refreshOld if the order
// has been open for longer than old.
const (
	refresh    = 3 * time.Second
	refreshOld = 30 * time.Second
	old        = time.Hour
)

// fulfillment is what the shop is told about an order whose customer comes back
// from an attempt (nil: from none). Only the order makes it a success.
func fulfillment(o *orderv1.Order, a *attempt.Attempt) string {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return returns.Success
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if delivering(o, a) {
			return returns.Success
		}
		return returns.Unknown
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_CANCELED,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		if a == nil {
			return returns.Unknown
		}
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
		return returns.Unknown
	}
	switch a.State() {
	case paymentv1.AttemptState_ATTEMPT_STATE_CANCELED:
		return returns.Cancel
	case paymentv1.AttemptState_ATTEMPT_STATE_FAILED:
		return returns.Error
	case paymentv1.AttemptState_ATTEMPT_STATE_UNSPECIFIED, paymentv1.AttemptState_ATTEMPT_STATE_STARTED,
		paymentv1.AttemptState_ATTEMPT_STATE_PENDING, paymentv1.AttemptState_ATTEMPT_STATE_EXPIRED,
		paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED:
	}
	return returns.Unknown
}

// delivering: authorized money is enough here, and the order is on its way.
func delivering(o *orderv1.Order, a *attempt.Attempt) bool {
	switch o.GetDeliveryState() {
	case orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED, orderv1.DeliveryState_DELIVERY_STATE_DELIVERED:
		return true
	case orderv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED, orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED:
	}
	return a != nil && a.Paid && a.ID == o.GetPaidAttemptId()
}

// payer is the attempt whose money counts for the order, nil if it isn't known.
func (p *Pages) payer(ctx context.Context, o *orderv1.Order) *attempt.Attempt {
	if o.GetPaidAttemptId() == "" {
		return nil
	}
	doc, err := p.checkout.Attempts.For(o.GetMerchantId()).Get(ctx, o.GetPaidAttemptId())
	if err != nil {
		return nil
	}
	return &doc.Body
}

// order shows how far an order came, in the words of a customer.
func (p *Pages) order(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	s, final := situationOf(o)
	data := p.about(r, o)
	data.tell(s)
	data.Mood, data.Steps = moodOf(s), stepsOf(data.L, o)
	data.ToReceipt, data.ReceiptName = keep(r, p.orderPath(o)+"/receipt"), "order.confirmation"
	if settledMoney(o) {
		data.ReceiptName = "order.receipt"
	}
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		p.stillToPay(r, o, &data)
	case orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		data.Note = data.T("order.refunded_in_part", data.L.Money(amountOf(o.GetRefunded())))
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED,
		orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_CANCELED,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
	}
	p.received(r, o, &data)
	if !final {
		pause := refresh
		if p.checkout.Attempts.Now().Sub(o.GetCreateTime().AsTime()) > old {
			pause = refreshOld
		}
		data.Refresh = int(pause.Seconds())
		data.Script, data.Events = p.path(liveScript.link()), p.orderPath(o)+"/events?v="+fingerprint(o)
	}
	p.show(w, r, http.StatusOK, "order.html", data)
}

// stillToPay adds to the page of an unpaid order how to pay it.
func (p *Pages) stillToPay(r *http.Request, o *orderv1.Order, data *page) {
	data.ToPay = keep(r, p.payPath(o))
	list, err := p.attemptsOf(r.Context(), o)
	if err != nil { // the page is true without it
		web.Annotate(r.Context(), slog.Any("problem", err))
	}
	data.Problem, data.Why = whyAgain(data.L, o, latest(list))
	if open := underWay(list); open != nil && open.Provider == offline.Name {
		data.ToHow = keep(r, p.howPath(o, open))
	}
}

// situationOf says what an order's customer needs to know, and whether that is
// the last word.
func situationOf(o *orderv1.Order) (s situation, final bool) {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return orderWaiting, false
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return orderChecking, false
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return orderCanceled, true
	case orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return orderExpired, true
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED:
		return orderRefunded, true
	case orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return orderChargedBack, true
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return deliveryOf(o)
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return orderUnclear, false
}

// deliveryOf is the situation of an order whose money is there.
func deliveryOf(o *orderv1.Order) (situation, bool) {
	switch o.GetDeliveryState() {
	case orderv1.DeliveryState_DELIVERY_STATE_DELIVERED:
		return orderDone, true
	case orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED:
		return orderDelayed, false
	case orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED:
		if o.GetDeliveryProblem() == "" {
			return orderPartly, false
		}
	case orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED, orderv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED:
	}
	switch {
	case o.GetDeliveryProblem() != "":
		return orderDelayed, false
	case o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return orderAuthorized, false
	default:
		return orderPreparing, false
	}
}
