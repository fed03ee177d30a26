package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/provider"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/seal"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/attempt"
	"quittance/services/payment-redirect/internal/attempts"
	"quittance/services/payment-redirect/internal/fulfillments"
	"quittance/services/payment-redirect/internal/savedpayments"
)

// maxDescription bounds what a provider's page is told of an order.
const maxDescription = 200

// Checkout starts payments, for storefronts and for our own pages.
type Checkout struct {
	Attempts     *attempts.Attempts
	Saved        *savedpayments.SavedPayments
	Fulfillments *fulfillments.Fulfillments
	Orders       Orders
	Reference    *reference.Copy
	Placing      Placing
	// Deliveries is nil if there is nobody to ask.
	Deliveries Deliveries
	// Keyring makes the signatures of checkout links.
	Keyring   *seal.Keyring
	Providers *registry.Registry
	// Stock tells what can be delivered; nil: nobody can tell.
	Stock Stock
	// AccessFor is how long after a payment its customer's access token holds.
	AccessFor time.Duration
	// PublicURL and CallbackURL are base URLs without a slash at the end.
	PublicURL   string
	CallbackURL string
}

// method is one way in which an order can be paid.
type method struct {
	account *orderv1.ProviderAccount
	// sample is where an attempt would be sent; nowhere yet if the payment must
	// be created first.
	sample  provider.Redirect
	creates bool
	// way is the method within the account, if it offers several.
	way provider.Method
	// saved: as the order's user paid before.
	saved bool
}

// choice names a method in a form: the account, and the method within it.
func (m method) choice() string {
	if m.saved {
		return savedChoice + m.account.GetId()
	}
	return choiceOf(m.account.GetId(), m.way.ID)
}

// savedChoice begins the choices to pay as before.
const savedChoice = "saved:"

func choiceOf(account, way string) string {
	if way == "" {
		return account
	}
	return account + "/" + way
}

// unpayable says why an order can't be paid; empty: it can.
func unpayable(o *orderv1.Order) string {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return ""
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return "its payment is authorized"
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return "it is paid"
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED:
		return "it was refunded"
	case orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return "its payment was charged back"
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return "it is canceled"
	case orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return "it has expired"
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return "its payment is on hold"
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return "its state is not known"
}

// order reads a merchant's order; another merchant's does not exist.
func (c *Checkout) order(ctx context.Context, merchant, orderID string) (*orderv1.Order, error) {
	o, err := c.Orders.GetOrderForService(ctx, &orderv1.GetOrderForServiceRequest{OrderId: orderID})
	if err = fault.FromStatus(err); err != nil && fault.KindOf(err) != fault.KindNotFound {
		return nil, fmt.Errorf("read order: %w", err)
	}
	if err != nil || o.GetMerchantId() != merchant {
		return nil, fault.NotFound("order %q", orderID)
	}
	return o, nil
}

// methods lists how an order can be paid: the merchant's accounts whose
// provider takes such a payment. An order that can't be paid has none.
func (c *Checkout) methods(ctx context.Context, o *orderv1.Order) ([]method, error) {
	if unpayable(o) != "" || o.GetFulfillment().GetPaymentMethod() != "" {
		return nil, nil // paid, over, or collected without the customer
	}
	if c.soldOut(ctx, o) != "" {
		return nil, nil
	}
	accounts, err := c.Reference.Accounts(ctx, o.GetMerchantId())
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	var out []method
	for _, a := range accounts {
		sample := attempt.Attempt{
			ID: sampleID, Order: o.GetId(), Account: a.GetId(), Provider: a.GetProvider(),
			Amount: amountOf(o.GetTotal()),
		}
		for _, way := range c.ways(ctx, a) {
			sample.Method = way.ID
			// What the provider refuses (a currency, say) is no way to pay.
			if redirect, creates, err := c.check(ctx, &sample); err == nil {
				out = append(out, method{account: a, sample: redirect, creates: creates, way: way})
			}
		}
	}
	return out, nil
}

// again lists how the order's user can pay as before: one click where the
// provider has what it needs already. It is for the customer alone, and only a
// convenience: without it the order can be paid by all other ways.
func (c *Checkout) again(ctx context.Context, o *orderv1.Order, methods []method) []method {
	u, err := c.Saved.Of(ctx, o.GetMerchantId(), o.GetUserId())
	if err != nil {
		web.Annotate(ctx, slog.Any("problem", err))
		return nil
	}
	var out []method
	for _, m := range methods {
		if u.Of(m.account.GetId()) == nil || slices.ContainsFunc(out, func(known method) bool { return known.account == m.account }) {
			continue
		}
		sample := attempt.Attempt{
			ID: sampleID, Merchant: o.GetMerchantId(), Order: o.GetId(), Account: m.account.GetId(), Provider: m.account.GetProvider(),
			Amount: amountOf(o.GetTotal()), User: o.GetUserId(), Saved: true,
		}
		if to, creates, err := c.check(ctx, &sample); err == nil && !creates {
			out = append(out, method{account: m.account, sample: to, saved: true})
		}
	}
	return out
}

// sampleID is that of attempts that are only tried on.
const sampleID = "pay_00000000000000000000000000000000"

// ways are the methods within an account: one without a name if its provider
// knows no others.
func (c *Checkout) ways(ctx context.Context, a *orderv1.ProviderAccount) []provider.Method {
	one := []provider.Method{{}}
	lister, err := registry.Role[provider.MethodLister](c.Providers, a.GetProvider())
	if err != nil {
		return one
	}
	acc, _, err := c.Reference.Account(ctx, a.GetId())
	if err != nil {
		return one
	}
	if ways := lister.Methods(acc); len(ways) > 0 {
		return ways
	}
	return one
}

// check says where an attempt would be sent and whether its payment must be
// created first, or why the provider does not take it.
func (c *Checkout) check(ctx context.Context, a *attempt.Attempt) (to provider.Redirect, creates bool, err error) {
	creator, err := registry.Role[provider.Creator](c.Providers, a.Provider)
	if errors.Is(err, registry.ErrNoRole) {
		to, err = c.redirect(ctx, a)
		return to, false, err
	}
	if err != nil {
		return provider.Redirect{}, false, err
	}
	acc, _, err := c.Reference.Account(ctx, a.Account)
	if err != nil {
		return provider.Redirect{}, true, unavailable(a.Account, err)
	}
	if err := creator.CheckAttempt(acc, c.asked(a)); err != nil {
		return provider.Redirect{}, true, refused(a.Account, err)
	}
	return provider.Redirect{}, true, nil
}

func unavailable(account string, err error) error {
	return fault.Unavailable("payment method %q can't be used now", account).Because(err)
}

func refused(account string, err error) error {
	return fault.Conflict("payment method %q does not take this payment: %v", account, err)
}

// Via is how a customer came to pay.
type Via struct {
	// Back is where the fulfilment URL asked to be led back to; empty: to the
	// order's own return URL.
	Back string
	// Method within the account; empty: the only one, or the provider's page asks.
	Method string
	// Saved: as the order's user paid before.
	Saved bool
	// User is who pays, as the shop has signed it, if the order doesn't know.
	User string
	// Locale is what the browser prefers; empty: no browser is here.
	Locale string
}

// start opens an attempt for a merchant's own order. docstore.ErrExists if the
// id is taken; a fault.KindExhausted if the order has too many attempts.
func (c *Checkout) start(ctx context.Context, o *orderv1.Order, accountID, attemptID, request string, via Via) (*docstore.Doc[attempt.Attempt], error) {
	if why := unpayable(o); why != "" {
		return nil, fault.Conflict("order %s can't be paid: %s", o.GetId(), why)
	}
	if why := c.soldOut(ctx, o); why != "" {
		return nil, fault.Conflict("order %s can't be paid now: %s", o.GetId(), why)
	}
	_, account, err := c.Reference.Account(ctx, accountID)
	unusable := fault.Invalid("account_id", "is not a payment method of this merchant that is in use")
	if err != nil && fault.KindOf(err) != fault.KindNotFound {
		return nil, fmt.Errorf("read account: %w", err)
	}
	if err != nil || account.GetMerchantId() != o.GetMerchantId() || account.GetDisabled() {
		return nil, unusable
	}
	ways := c.ways(ctx, account)
	if via.Method != "" && !slices.ContainsFunc(ways, func(w provider.Method) bool { return w.ID == via.Method }) {
		return nil, fault.Invalid("method", "is no method of this account")
	}
	if via.Saved {
		u, err := c.Saved.Of(ctx, o.GetMerchantId(), o.GetUserId())
		if err != nil {
			return nil, err
		}
		if u.Of(accountID) == nil {
			return nil, fault.Invalid("saved", "the order's user has nothing saved with this account")
		}
	}
	a := &attempt.Attempt{
		User: cmp.Or(o.GetUserId(), via.User), Saved: via.Saved,
		ID: attemptID, Merchant: o.GetMerchantId(), Order: o.GetId(), Account: accountID, Provider: account.GetProvider(),
		Amount: amountOf(o.GetTotal()), Request: request, Back: via.Back,
		Description: describe(o), Email: o.GetCustomer().GetEmail(), Locale: o.GetCustomer().GetLocale(),
		Method: via.Method, BrowserLocale: via.Locale,
	}
	_, create, err := c.check(ctx, a)
	if err != nil {
		if errors.Is(err, registry.ErrUnknown) || errors.Is(err, registry.ErrNoRole) {
			return nil, unusable
		}
		return nil, err
	}
	return c.Attempts.Start(ctx, a, create)
}

// redirect computes where an attempt's customer is sent. Nothing of it is
// stored: signatures are made when they are needed. The way to a payment that
// was created is what its provider said, nowhere before that.
func (c *Checkout) redirect(ctx context.Context, a *attempt.Attempt) (provider.Redirect, error) {
	if a.Creation != nil {
		way := a.Creation.Way
		return provider.Redirect{Method: way.Method, URL: way.URL, Fields: way.Fields}, nil
	}
	r, err := c.Providers.Redirector(a.Provider)
	if err != nil {
		return provider.Redirect{}, err
	}
	acc, _, err := c.Reference.Account(ctx, a.Account)
	if err != nil {
		return provider.Redirect{}, unavailable(a.Account, err)
	}
	asked := c.asked(a)
	if a.Saved { // one whose token is forgotten, or can't be had, is paid like any other
		if asked.OneClickToken, err = c.Saved.Token(ctx, a); err != nil {
			web.Annotate(ctx, slog.Any("problem", err))
		}
	}
	redirect, err := r.Redirect(acc, asked)
	if err != nil {
		return provider.Redirect{}, refused(a.Account, err)
	}
	return redirect, nil
}

// asked is what a provider is told of an attempt.
func (c *Checkout) asked(a *attempt.Attempt) provider.Attempt {
	back := c.PublicURL + "/return/" + a.ID
	return provider.Attempt{
		ID: a.ID, Reference: a.ID, OrderID: a.Order, Amount: a.Amount,
		Description: a.Description, Email: a.Email, Locale: a.Locale, BrowserLocale: a.BrowserLocale, Method: a.Method,
		// The attempt is in the path: providers sign all query parameters.
		ReturnURL: back, DeclineURL: back + declined,
		CallbackURL: c.CallbackURL + "/callbacks/" + a.Provider + "/" + a.Account,
	}
}

// onward is where an attempt's customer is sent now: nowhere, once verification
// knows its end. What a browser claims of an end bars no way: anybody could
// claim it.
func (c *Checkout) onward(ctx context.Context, a *attempt.Attempt) (provider.Redirect, error) {
	if a.Ended() {
		return provider.Redirect{}, nil
	}
	return c.redirect(ctx, a)
}

// describe says what is paid for: "2 × Notepad, Backup".
func describe(o *orderv1.Order) string {
	var parts []string
	for _, l := range o.GetLines() {
		part := l.GetName()
		if l.GetQuantity() != 1 {
			part = fmt.Sprintf("%d × %s", l.GetQuantity(), part)
		}
		parts = append(parts, part)
	}
	s := strings.Join(parts, ", ")
	if utf8.RuneCountInString(s) > maxDescription {
		s = string([]rune(s)[:maxDescription-1]) + "…"
	}
	return s
}
