// Package sandbox is the seventh program, for development and for merchants' own tests: all that the system talks to.
//
// It takes the place of the payment provider (a simulated FlexPay, with faults on demand), of a storefront, of a
// merchant's webhook receiver and of a mail server, each on its real wire, behind one HTTP listener and one SMTP
// listener. It gives pages for people, and below /control a JSON API for tests (package client).
//
// The six services don't know that it exists: accounts, endpoints and the mail relay are configured to its addresses.
// What it has taken on is on the disk before it answers, so it remembers sales, webhooks and mails whichever side is
// killed.
package sandbox
