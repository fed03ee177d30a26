package edge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quittance/pkg/fault"
	"quittance/pkg/mail"
	"quittance/pkg/money"
	"quittance/pkg/returns"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/order"
)

// Limits of requests. They keep documents and events small.
const (
	maxItems     = 50
	maxURL       = 2_000
	maxUserID    = 100
	maxQuantity  = 10_000
	maxMetadata  = 20
	maxMailText  = 10_000
	maxMailHTML  = 50_000
	maxPrices    = 50
	maxAllowList = 20
	maxSettings  = 50
	// minEraseAfter leaves customers time to ask for what they bought.
	minEraseAfter = 30 * 24 * time.Hour
)

var (
	slug      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	productID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	locale    = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
)

// text checks a single-line text of a limited number of characters.
func text(v *fault.Validation, field, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		v.Check(false, field, "must be one line of printable UTF-8")
	case least == most:
		v.Check(n == least, field, "must have %d characters", most)
	default:
		v.Check(n >= least && n <= most, field, "must have %d to %d characters, has %d", least, most, n)
	}
}

// lines checks a text that may have several lines.
func lines(v *fault.Validation, field, s string, most int) {
	v.Check(utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && r != '\r' && unicode.IsControl(r) }),
		field, "must be lines of printable UTF-8")
	v.Check(utf8.RuneCountInString(s) <= most, field, "must have at most %d characters, has %d", most, utf8.RuneCountInString(s))
}

func validateCreate(req *orderv1.CreateOrderRequest) error {
	var v fault.Validation
	text(&v, "idempotency_key", req.GetIdempotencyKey(), 1, 64)
	text(&v, "reference", req.GetReference(), 0, 64)
	c := req.GetCustomer()
	if err := mail.ValidAddress(c.GetEmail()); err != nil {
		v.Check(false, "customer.email", "%v", err)
	}
	text(&v, "customer.name", c.GetName(), 0, 100)
	v.Check(c.GetLocale() == "" || len(c.GetLocale()) <= 35 && locale.MatchString(c.GetLocale()),
		"customer.locale", "must be a BCP 47 language tag")
	text(&v, "customer.company", c.GetCompany(), 0, 100)
	text(&v, "customer.vat_id", c.GetVatId(), 0, 20)
	v.Check(utf8.ValidString(c.GetAddress()) && utf8.RuneCountInString(c.GetAddress()) <= 300 && strings.Count(c.GetAddress(), "\n") < 5,
		"customer.address", "must have at most 5 lines and 300 characters")
	if consent := req.GetConsent(); consent != nil {
		text(&v, "consent.terms_version", consent.GetTermsVersion(), 0, 40)
		v.Check(consent.GetTime().IsValid(), "consent.time", "must be the time of the consent")
	}
	text(&v, "user_id", req.GetUserId(), 0, maxUserID)
	v.Check(req.GetPaymentMethod() == "" || slices.Contains(order.WithoutCustomer, req.GetPaymentMethod()),
		"payment_method", "must be empty or one of %s", strings.Join(order.WithoutCustomer, ", "))
	validateItems(&v, req)
	v.Check(len(req.GetMetadata()) <= maxMetadata, "metadata", "must have at most %d pairs", maxMetadata)
	for key, value := range req.GetMetadata() {
		if !v.Check(len(req.GetMetadata()) <= maxMetadata, "metadata", "must have at most %d pairs", maxMetadata) {
			break
		}
		text(&v, "metadata key", key, 1, 40)
		text(&v, "metadata["+key+"]", value, 0, 200)
	}
	return v.Err()
}

// validateItems checks what is ordered, and how it is priced.
func validateItems(v *fault.Validation, req *orderv1.CreateOrderRequest) {
	_, known := money.Exponent(req.GetCurrency())
	v.Check(known, "currency", "must be an ISO 4217 code in upper case")
	v.Check(len(req.GetItems()) >= 1 && len(req.GetItems()) <= maxItems, "items", "must have 1 to %d entries", maxItems)
	for i, it := range req.GetItems() {
		if i == maxItems {
			break
		}
		v.Check(productID.MatchString(it.GetProductId()), fmt.Sprintf("items[%d].product_id", i), "is not a product id")
		v.Check(it.GetQuantity() >= 1 && it.GetQuantity() <= maxQuantity,
			fmt.Sprintf("items[%d].quantity", i), "must be between 1 and %d", maxQuantity)
	}
	text(v, "discount_code", req.GetDiscountCode(), 0, 64)
}

func validateProduct(p *orderv1.Product) error {
	var v fault.Validation
	v.Check(productID.MatchString(p.GetId()), "product.id", "must be 1 to 64 of a-z, 0-9, '-', '_', '.'")
	text(&v, "product.name", p.GetName(), 1, 200)
	v.Check(len(p.GetPrices()) >= 1 && len(p.GetPrices()) <= maxPrices, "product.prices", "must have 1 to %d entries", maxPrices)
	seen := map[string]bool{}
	for i, m := range p.GetPrices() {
		_, known := money.Exponent(m.GetCurrency())
		v.Check(known, fmt.Sprintf("product.prices[%d].currency", i), "must be an ISO 4217 code in upper case")
		v.Check(!seen[m.GetCurrency()], fmt.Sprintf("product.prices[%d].currency", i), "is there twice")
		v.Check(m.GetMinor() >= 0, fmt.Sprintf("product.prices[%d].minor", i), "must not be negative")
		seen[m.GetCurrency()] = true
	}
	switch p.GetDeliveryMethod() {
	case orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL,
		orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE:
	case orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED:
		v.Check(false, "product.delivery_method", "must be set")
	default:
		v.Check(false, "product.delivery_method", "is not known")
	}
	v.Check(p.GetFallbackMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED ||
		p.GetFallbackMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_POOL && p.GetDeliveryMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE,
		"product.fallback_method", "must be DELIVERY_METHOD_POOL behind DELIVERY_METHOD_WEB_SERVICE, or unset")
	v.Check(len(p.GetMailText()) <= maxMailText && utf8.ValidString(p.GetMailText()), "product.mail_text", "must have at most %d bytes of UTF-8", maxMailText)
	v.Check(len(p.GetMailHtml()) <= maxMailHTML && utf8.ValidString(p.GetMailHtml()), "product.mail_html", "must have at most %d bytes of UTF-8", maxMailHTML)
	text(&v, "product.mail_subject", p.GetMailSubject(), 0, 200)
	v.Check(!strings.Contains(p.GetMailSubject(), "{KEY}"), "product.mail_subject", "must not have {KEY}: subjects are read by everybody on the way")
	return v.Err()
}

func validateMerchant(m *orderv1.Merchant) error {
	var v fault.Validation
	v.Check(slug.MatchString(m.GetId()), "merchant.id", "must be 1 to 40 of a-z, 0-9, '-'")
	text(&v, "merchant.name", m.GetName(), 1, 200)
	if err := mail.ValidAddress(m.GetMailFrom()); err != nil {
		v.Check(false, "merchant.mail_from", "%v", err)
	}
	if err := mail.ValidAddress(m.GetContactEmail()); err != nil && m.GetContactEmail() != "" {
		v.Check(false, "merchant.contact_email", "%v", err)
	}
	v.Check(len(m.GetReturnUrlAllowList()) <= maxAllowList, "merchant.return_url_allow_list", "must have at most %d entries", maxAllowList)
	for i, entry := range m.GetReturnUrlAllowList() {
		if err := returns.Allowed(entry, []string{entry}); err != nil {
			v.Check(false, fmt.Sprintf("merchant.return_url_allow_list[%d]", i), "%v", err)
		}
	}
	validateStorefront(&v, "merchant.storefront", m.GetStorefront())
	validateMails(&v, "merchant.customer_mails", m.GetCustomerMails())
	if keep := m.GetPolicy().GetEraseAfter(); keep != nil {
		v.Check(keep.IsValid() && keep.AsDuration() >= minEraseAfter, "merchant.policy.erase_after", "must be at least 30 days")
	}
	return v.Err()
}
