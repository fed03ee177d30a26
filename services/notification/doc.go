// Package notification is the notification service: it tells merchants. It
// owns webhook endpoints and, per order and endpoint, how far the order's
// events have come.
//
// It takes every public order event, from the bus and once a minute from the
// order service's history, and NotificationService calls of merchants. It gives
// signed webhooks, one order's in sequence, retried for three days.
package notification
