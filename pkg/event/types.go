package event

// Types of events. Public order events go to merchants as webhooks too; only
// the order service emits them and numbers them per order.
const (
	OrderCreated           = "order.created"
	PaymentSucceeded       = "payment.succeeded"
	PaymentFailed          = "payment.failed"
	PaymentDuplicate       = "payment.duplicate"
	ProductDelivered       = "product.delivered"
	ProductDeliveryDelayed = "product.delivery_delayed"
	OrderDelivered         = "order.delivered"
	OrderOnHold            = "order.on_hold"
	OrderCanceled          = "order.canceled"
	OrderExpired           = "order.expired"
	// OrderPaymentDue: an order is still unpaid at one of its merchant's times to
	// remind.
	OrderPaymentDue = "order.payment_due"
	OrderRefunded   = "order.refunded"
	// OrderActionRequired: the merchant must do something about the order's money
	// by hand, as its operations say.
	OrderActionRequired = "order.action_required"
	ProductRevoked      = "product.revoked"
	// CustomerErased: the personal data of an order's customer was erased from the
	// order, and every service that has some does the same.
	CustomerErased = "customer.erased"
)

// Public lists the public order events.
var Public = []string{
	OrderCreated, PaymentSucceeded, PaymentFailed, PaymentDuplicate,
	ProductDelivered, ProductDeliveryDelayed, OrderDelivered, OrderOnHold,
	OrderCanceled, OrderExpired, OrderPaymentDue, OrderRefunded, OrderActionRequired, ProductRevoked,
	CustomerErased,
}

// Public merchant events go to merchants as webhooks too; they are about no
// order.
const (
	EndpointFailing   = "endpoint.failing"
	EndpointRecovered = "endpoint.recovered"
	EndpointExhausted = "endpoint.exhausted"
	EndpointDisabled  = "endpoint.disabled"
	LicensePoolLow    = "license_pool.low"
	// MailFailed: a mail to a customer about a payment is not tried any more. It is
	// about an order and no part of its history.
	MailFailed = "mail.failed"
)

// PublicMerchant lists the public merchant events.
var PublicMerchant = []string{EndpointFailing, EndpointRecovered, EndpointExhausted, EndpointDisabled, LicensePoolLow, MailFailed}

// Internal events: services tell each other facts.
const (
	PaymentStarted   = "payment.started"
	PaymentReturned  = "payment.returned"
	PaymentConfirmed = "payment.confirmed"
	CallbackReceived = "callback.received"
	// FulfillmentChanged tells the order what the fulfilment URL learned.
	FulfillmentChanged = "fulfillment.changed"
	// FulfillmentAcknowledged answers it.
	FulfillmentAcknowledged = "fulfillment.acknowledged"
	// CallbackAcknowledged answers a CallbackReceived that led to no PaymentVerified.
	CallbackAcknowledged = "callback.acknowledged"
	// CallbackRescued carries a callback past a store that was down.
	CallbackRescued = "callback.rescued"
	PaymentVerified = "payment.verified"
	// PaymentAcknowledged answers a PaymentVerified that led to no public event.
	PaymentAcknowledged = "payment.acknowledged"
	// RefundRequested asks for refunds, captures and cancellations; the next
	// PaymentVerified answers.
	RefundRequested   = "refund.requested"
	DeliveryCompleted = "delivery.completed"
	DeliveryDelayed   = "delivery.delayed"
	DeliveryRevoked   = "delivery.revoked"
	// DeliveryAcknowledged answers a repeated DeliveryCompleted or DeliveryRevoked.
	DeliveryAcknowledged = "delivery.acknowledged"
	// ErasureAcknowledged answers a CustomerErased, from each service that holds
	// personal data.
	ErasureAcknowledged = "erasure.acknowledged"
)

// Reference data, the latest per item.
const (
	RefMerchant = "ref.merchant"
	RefKey      = "ref.key"
	RefAccount  = "ref.account"
	RefProduct  = "ref.product"
)
