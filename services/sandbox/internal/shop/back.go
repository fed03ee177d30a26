package shop

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"quittance/pkg/fault"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/internal/page"
)

//go:embed *.html
var files embed.FS

var (
	cataloguePage = page.Parse(files, "catalogue.html")
	backPage      = page.Parse(files, "back.html")
	problemPage   = page.Parse(files, "problem.html")
)

// greetings by fulfillmentStatus, which the browser brings: polite words, not a reason to believe anything.
var greetings = map[string]string{
	"success": "Thank you for your order",
	"cancel":  "You canceled the payment",
	"error":   "The payment failed",
	"unknown": "We are waiting for your payment",
}

type backView struct {
	Greeting string
	Status   string
	Order    *orderView
	// Waiting: the page reloads itself until the order is settled.
	Waiting bool
}

type orderView struct {
	ID, PaymentState, DeliveryState, Hold, PayURL, Problem string
	Total                                                  money.Amount
	Lines                                                  []lineView
}

type lineView struct {
	Name, DeliveryState string
	Quantity            int64
	Amount              money.Amount
}

// back is where returnUrl leads. It shows what the API says of the order, whatever the browser says.
func (s *Shop) back(w http.ResponseWriter, r *http.Request) {
	status := r.FormValue("fulfillmentStatus")
	view := backView{Greeting: greetings[status], Status: status}
	if view.Greeting == "" {
		view.Greeting = "Your order"
	}
	orderID := r.FormValue("orderId")
	if orderID == "" {
		orderID = s.orderOf(r.FormValue("basket"))
	}
	if orderID == "" {
		s.fail(w, fault.NotFound("this shop knows no such order"))
		return
	}
	order, err := s.order(r, orderID)
	if err != nil {
		s.fail(w, err)
		return
	}
	view.Order, view.Waiting = viewOf(order), waiting(order)
	page.Write(w, http.StatusOK, backPage, view)
}

func (s *Shop) order(r *http.Request, orderID string) (*orderv1.Order, error) {
	orders, _, err := s.api()
	if err != nil {
		return nil, err
	}
	order, err := orders.GetOrder(r.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
	if err != nil {
		return nil, fmt.Errorf("read order: %w", err)
	}
	if order.GetId() != orderID {
		return nil, errors.New("read order: got another one")
	}
	return order, nil
}

func viewOf(order *orderv1.Order) *orderView {
	view := &orderView{
		ID: order.GetId(), PaymentState: word(order.GetPaymentState().String(), "PAYMENT_STATE_"),
		DeliveryState: word(order.GetDeliveryState().String(), "DELIVERY_STATE_"),
		Hold:          order.GetHold().GetDetail(), PayURL: order.GetPayUrl(), Problem: order.GetPaymentProblem(),
		Total: amount(order.GetTotal()),
	}
	for _, line := range order.GetLines() {
		view.Lines = append(view.Lines, lineView{
			Name: line.GetName(), DeliveryState: word(line.GetDeliveryState().String(), "DELIVERY_STATE_"),
			Quantity: line.GetQuantity(), Amount: amount(line.GetAmount()),
		})
	}
	return view
}

// waiting says that the order may still change by itself.
func waiting(order *orderv1.Order) bool {
	switch order.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED,
		orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return true
	case orderv1.PaymentState_PAYMENT_STATE_PAID:
		return order.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
	}
	return false
}

// word turns PAYMENT_STATE_ON_HOLD into "on hold".
func word(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}

func amount(m *orderv1.Money) money.Amount {
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}
}
