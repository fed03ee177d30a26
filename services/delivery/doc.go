// Package delivery is the delivery service. It owns the pools of licence keys
// and the deliveries of orders.
//
// It takes payment.succeeded, order.refunded and the order's answers, and keys
// from merchants over gRPC. It gives each paid unit exactly one licence, mails
// it to the customer, and reports delivery.completed or delivery.delayed.
package delivery
