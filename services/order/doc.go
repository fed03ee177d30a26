// Package order is the order service. It owns merchants, API keys, provider
// accounts, products and orders.
//
// It takes requests of storefronts and operators over gRPC, and the facts
// payment.verified, delivery.completed and delivery.delayed. It gives the
// public order events, numbered per order, and publishes reference data. It
// decides when a customer's personal data is erased, and has every other service
// erase theirs (customer.erased) until each has answered.
package order
