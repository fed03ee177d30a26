// Package mail owns outgoing e-mail: what a valid message is, and handing it to an SMTP server.
//
// It takes a Message with a stable id and a Config of one relay, and gives a Sender whose errors say whether trying
// again can help (IsPermanent). Sending is at least once: a message repeated after a lost answer carries the same
// Message-ID, by which mail systems recognise it. It also gives ValidAddress, the check for addresses from customers.
// Nothing in it logs, and messages hide their text when printed.
package mail
