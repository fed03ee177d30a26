package edge

// texts are all words that customers read, but for those of merchants and
// providers.
type texts struct {
	PayTitle, PayNow, PayIntro, Continue, Total, Product, Quantity, Amount string
	Retry, NoMethods, ChooseMethod, OutOfDate                              string
	ContinueTitle, ContinueText, ContinueButton                            string
	OfflineTitle, OfflineText, Reference                                   string
	ToOrder, ToShop, TryAgain, PayAnother                                  string

	Canceled, Expired                                                situation
	Waiting, Authorized, Checking, Preparing, Partly, Done, Delayed  situation
	Refunded, ChargedBack, Unclear                                   situation
	RefundedInPart                                                   string
	NotFound, Unavailable, TooLarge, Unreadable, NotAllowed, TooMany situation
}

// situation is what a page says of an order or of a failure.
type situation struct{ Title, Text string }

var english = texts{
	PayTitle: "Pay your order", PayNow: "Pay now", PayIntro: "Please choose how you want to pay.",
	Continue: "Continue to payment",
	Total:    "Total", Product: "Product", Quantity: "Quantity", Amount: "Amount",
	Retry:        "The last payment did not work: ",
	NoMethods:    "There is no way to pay this order right now. Please ask the shop.",
	ChooseMethod: "Please choose a payment method.",
	OutOfDate:    "This page was out of date. Please choose again.",

	ContinueTitle: "Continue to payment", ContinueText: "You pay on the pages of the payment provider and come back here afterwards.",
	ContinueButton: "Continue",
	OfflineTitle:   "How to pay", OfflineText: "Your order is complete as soon as the shop has received your payment.",
	Reference: "Reference",
	ToOrder:   "See your order", ToShop: "Back to the shop", TryAgain: "Try again", PayAnother: "Choose another payment method",

	Canceled: situation{"Order canceled", "This order was canceled. It can't be paid any more."},
	Expired:  situation{"Order expired", "This order was not paid in time. It can't be paid any more."},
	Waiting: situation{"Waiting for your payment",
		"If you have just paid, the confirmation is on its way and this page will show it. Otherwise you can pay now."},
	Authorized:  situation{"Payment authorized", "Your payment is authorized. The shop completes your order."},
	Checking:    situation{"Your payment is being checked", "This can take some time. You don't need to do anything."},
	Preparing:   situation{"Thank you, your order is paid", "It is being delivered right now. This page will tell you when it is done."},
	Partly:      situation{"Partly delivered", "Some of your products were sent to your e-mail address. The others follow."},
	Done:        situation{"Your order is complete", "Your products were sent to your e-mail address."},
	Delayed:     situation{"Paid, but not delivered yet", "The shop knows about it and takes care of it. You don't need to do anything."},
	Refunded:    situation{"Refunded", "Your payment was given back."},
	ChargedBack: situation{"Payment taken back", "The payment of this order was taken back."},
	Unclear:     situation{"Your order", "Its state can't be told right now. Please look again later."},

	RefundedInPart: "A part of your payment was given back.",

	NotFound:    situation{"Page not found", "Please check that the link is complete."},
	Unavailable: situation{"Just a moment, please", "We can't look this up right now. Nothing is lost: please try again in a few seconds."},
	TooLarge:    situation{"Request too large", "Your browser sent more than we can take."},
	Unreadable:  situation{"Request not readable", "Your browser sent something that we can't read. Please go back and try again."},
	TooMany: situation{"Too many tries to pay",
		"There were so many tries to pay this order that no other can be started. If you have just paid, your order will show it soon. " +
			"Otherwise please ask the shop."},
	NotAllowed: situation{"Not supported", "This address can only be visited."},
}
