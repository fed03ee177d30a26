// Package notification is the notification service: it tells merchants. It
// owns webhook endpoints and, per order and endpoint, how far the order's
// events have come, and notices about endpoints.
//
// It takes every public event, those of orders from the bus and once a minute
// from the order service's history, and NotificationService calls of merchants.
// It gives signed webhooks, one order's in sequence, retried for three days, and
// tells merchants by events and mail how their endpoints do.
package notification
