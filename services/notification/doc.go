// Package notification is the notification service: it tells merchants, and
// customers about their payments. It owns webhook endpoints and, per order and
// endpoint, how far the order's events have come, notices about endpoints, and
// letters to customers.
//
// It takes every public event, those of orders from the bus and once a minute
// from the order service's history, payment.started, and NotificationService
// calls of merchants. It gives signed webhooks, one order's in sequence, retried
// for three days, and tells merchants by events and mail how their endpoints do.
// Customers get mails: how to pay by transfer, receipts, reminders, and that an
// order has expired.
package notification
