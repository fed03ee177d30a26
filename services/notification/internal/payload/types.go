package payload

import (
	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// merchantType is a type of events that are about no order: its message stands
// in data under the key.
type merchantType struct {
	key     string
	message func() proto.Message
}

func endpointNotice() merchantType {
	return merchantType{"endpoint", func() proto.Message { return &eventv1.EndpointNotice{} }}
}

// merchantTypes are those of event.PublicMerchant.
var merchantTypes = map[string]merchantType{
	event.EndpointFailing:   endpointNotice(),
	event.EndpointRecovered: endpointNotice(),
	event.EndpointExhausted: endpointNotice(),
	event.EndpointDisabled:  endpointNotice(),
	event.MailFailed:        {"mail", func() proto.Message { return &eventv1.MailFailed{} }},
	event.LicensePoolLow:    {"pool", func() proto.Message { return &eventv1.LicensePoolLow{} }},
}

// Descriptions say what each type of event tells.
var Descriptions = map[string]string{
	event.OrderCreated:           "An order was created.",
	event.PaymentSucceeded:       "The order is paid: the provider confirmed the exact amount, or the order was prepaid, free or confirmed by the merchant.",
	event.PaymentFailed:          "A payment attempt failed. The order stays unpaid, and the customer may try again.",
	event.PaymentDuplicate:       "The order was paid a second time. The merchant gives the money back.",
	event.ProductDelivered:       "A line of the order was delivered to the customer.",
	event.ProductDeliveryDelayed: "A paid line can't be delivered now; order.delivery_problem says who must act.",
	event.OrderDelivered:         "All lines of the order are delivered.",
	event.OrderOnHold:            "The order waits for an answer about its money; order.hold says whose.",
	event.OrderCanceled:          "The order was canceled.",
	event.OrderExpired:           "The order was not paid in time.",
	event.OrderPaymentDue:        "The order is still unpaid at one of your times to remind its customer.",
	event.OrderRefunded:          "Money was given back; order.refunded says how much so far.",
	event.OrderActionRequired:    "The merchant must do something about the order's money by hand.",
	event.ProductRevoked:         "Units of a line may use their licence no more; its revoked_units says how many so far.",
	event.MailFailed:             "A mail to a customer about a payment could not be sent and is not tried any more. The customer must be reached another way.",
	event.CustomerErased:         "The personal data of the order's customer was erased: order has none any more.",
	event.LicensePoolLow:         "The pool of a product's licence keys has come down to its low-water mark. When it is empty, paid orders wait.",
	event.EndpointFailing:        "There have been nothing but failures at one of your webhook endpoints for a while.",
	event.EndpointRecovered:      "A failing webhook endpoint answers again.",
	event.EndpointExhausted:      "A webhook could not be delivered in all its tries; it can be replayed.",
	event.EndpointDisabled:       "A webhook endpoint was disabled: it answered 410, or there was nothing but failures for days. Events are kept.",
}
