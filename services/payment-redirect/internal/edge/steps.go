package edge

import (
	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// step is a stage of an order: "done", "now", "later" or "bad".
type step struct{ Name, Text, State string }

// Classes of the style sheet.
const (
	done  = "done"
	now   = "now"
	afar  = "later"
	wrong = "bad"
)

// moodOf is the class of a situation's heading.
func moodOf(s situation) string {
	switch s {
	case orderDone, orderPreparing, orderAuthorized, orderPartly:
		return "good"
	case orderCanceled, orderExpired, orderChargedBack:
		return wrong
	case orderDelayed, orderRefunded, orderUnclear:
		return "warn"
	case orderWaiting, orderChecking, sayNotFound, sayUnavailable, sayTooLarge, sayUnreadable, sayNotAllowed, sayForeign, sayTooMany,
		sayBadLink, sayBadCheckout, sayNoCustomer, saySessionOver, sayKept, sayOneMoment:
	}
	return ""
}

// stepsOf are the stages of an order: ordered, paid, delivered.
func stepsOf(l *words.Language, o *orderv1.Order) []step {
	payment := paymentStep(o)
	delivery := deliveryStep(o, payment.State == done)
	for _, s := range []*step{&payment, &delivery} {
		s.Text = l.Say(s.Text)
	}
	payment.Name, delivery.Name = l.Say("step.payment"), l.Say("step.delivery")
	return []step{{l.Say("step.ordered"), l.Time(o.GetCreateTime().AsTime()), done}, payment, delivery}
}

func paymentStep(o *orderv1.Order) step {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return step{Text: "step.payment_open", State: now}
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return step{Text: "step.payment_authorized", State: done}
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return step{Text: "step.payment_done", State: done}
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return step{Text: "step.payment_back", State: wrong}
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return step{Text: "step.payment_none", State: wrong}
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return step{Text: "step.payment_checking", State: now}
}

func deliveryStep(o *orderv1.Order, paid bool) step {
	switch o.GetDeliveryState() {
	case orderv1.DeliveryState_DELIVERY_STATE_DELIVERED:
		return step{Text: "step.delivery_done", State: done}
	case orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED:
		return step{Text: "step.delivery_waits", State: now}
	case orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED:
		return step{Text: "step.delivery_partly", State: now}
	case orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED, orderv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED:
	}
	switch {
	case paid && o.GetDeliveryProblem() != "":
		return step{Text: "step.delivery_waits", State: now}
	case paid:
		return step{Text: "step.delivery_now", State: now}
	case paymentStep(o).State == now:
		return step{Text: "step.delivery_later", State: afar}
	}
	return step{Text: "step.delivery_none", State: afar}
}
