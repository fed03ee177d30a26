// Package paymentredirect is the payment-redirect service. It owns payment
// attempts, and the pages on which customers pay and follow an order.
//
// It takes customers' browsers over HTTP, StartPayment of storefronts over
// gRPC, and the fact payment.verified. It gives payment.started,
// payment.returned and payment.confirmed, the way to the provider, and the way
// back to the shop with fulfillmentStatus. It believes nothing that a browser
// brings (P1): what the order service says is what customers are told.
package paymentredirect
