// Package wording owns what letters to customers say: it takes a kind, the order
// as it is and its merchant, and gives the mail, text and HTML alike, in the
// customer's language and with the merchant's name, colour and logo. What people
// have typed is text in it, never markup or a header.
package wording

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	netmail "net/mail"
	"slices"
	"strings"

	"quittance/pkg/color"
	"quittance/pkg/mail"
	"quittance/pkg/money"
	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/letter"
)

//go:embed words/*.json
var wordFiles embed.FS

// catalogues hold all that letters say in our words: a file per language.
var catalogues = words.MustParse(wordFiles, "words", "en")

//go:embed letter.html
var letterFile embed.FS

var letterHTML = template.Must(template.ParseFS(letterFile, "letter.html"))

// Transfer is where the money of an offline payment is to be transferred. Text is
// the merchant's own, empty if there is none.
type Transfer struct {
	Beneficiary, Account, Reference, Text string
}

// logoID is what the HTML calls the merchant's logo.
const logoID = "logo"

// usual is the main colour of merchants who have none.
var usual = color.RGB{R: 27, G: 87, B: 176}

// content is what both bodies of a mail show.
type content struct {
	L                               *words.Language
	Shop, Mark                      string
	Logo                            bool
	Main, OnMain                    string
	Title, Hello, Lead              string
	Transfer                        []fact
	TransferText                    string
	Then                            string
	Button, URL                     string
	Facts                           []fact
	Lines                           []line
	Discount, Code, Total           string
	Sums                            []fact
	Seller, Buyer                   []string
	Help, Terms, Privacy, Why, Lang string
}

// T is a text in the customer's language.
func (c content) T(key string, args ...any) string { return c.L.Say(key, args...) }

// fact is a name with what there is to say. Code is copied letter by letter.
type fact struct {
	Name, Text string
	Code       bool
}

type line struct{ Name, Each, Amount string }

// Compose writes a letter, all but its id. t is for instructions only.
func Compose(kind letter.Kind, o *orderv1.Order, m *orderv1.Merchant, t *Transfer) (mail.Message, error) {
	l := catalogues.Choose(o.GetCustomer().GetLocale())
	c := &content{L: l, Lang: l.Tag()}
	c.dress(m)
	subject, err := c.say(kind, o, t)
	if err != nil {
		return mail.Message{}, err
	}
	locale := cmp.Or(o.GetCustomer().GetLocale(), l.Tag())
	subject = c.personalize(kind, own(m.GetCustomerMails().GetTexts(), kind, locale), o, subject)
	c.bill(o)
	var html bytes.Buffer
	if err := letterHTML.Execute(&html, c); err != nil {
		return mail.Message{}, fmt.Errorf("write %s: %w", kind, err)
	}
	s := m.GetStorefront()
	out := mail.Message{
		From: (&netmail.Address{Name: words.Line(c.Shop, maxSender), Address: m.GetMailFrom()}).String(), To: o.GetCustomer().GetEmail(), ReplyTo: s.GetSupportEmail(),
		Subject: subject, Text: c.text(), HTML: html.String(), Headers: map[string]string{"Auto-Submitted": "auto-generated"},
	}
	if c.Logo {
		out.Pictures = []mail.Picture{{ID: logoID, Type: http.DetectContentType(s.GetLogo()), Data: s.GetLogo()}}
	}
	return out, nil
}

// dress gives the letter its merchant's face.
func (c *content) dress(m *orderv1.Merchant) {
	s := m.GetStorefront()
	c.Shop = words.Line(m.GetName(), maxShop)
	if c.Shop == "" {
		c.Shop = m.GetId()
	}
	c.Mark = words.Initial(c.Shop)
	chosen, ok := color.Parse(s.GetColor())
	if !ok {
		chosen = usual
	}
	main := chosen.On(color.White)
	c.Main, c.OnMain = main.String(), main.Text().String()
	c.Logo = len(s.GetLogo()) > 0 && strings.HasPrefix(http.DetectContentType(s.GetLogo()), "image/")
	c.Terms, c.Privacy = s.GetTermsUrl(), s.GetPrivacyUrl()
	if s.GetSupportEmail() != "" {
		c.Help = c.T("mail.help", s.GetSupportEmail())
	}
	c.Why = c.T("mail.why", c.Shop)
	if c.Seller = lines(s.GetSeller()); len(c.Seller) == 0 {
		c.Seller = []string{c.Shop}
	}
}

// say sets the words of the kind, and gives the subject.
func (c *content) say(kind letter.Kind, o *orderv1.Order, t *Transfer) (subject string, err error) {
	c.Hello = c.T("mail.hello_nobody")
	if name := words.Name(o.GetCustomer().GetName(), maxName); name != "" {
		c.Hello = c.T("mail.hello", name)
	}
	c.URL = o.GetPayUrl()
	ordered := c.L.Date(o.GetCreateTime().AsTime())
	switch kind {
	case letter.Instructions:
		if t == nil {
			return "", errors.New("instructions without a transfer")
		}
		c.transfer(o, t)
		c.Title, c.Lead, c.Then = c.T("instructions.title"), c.T("instructions.lead"), c.T("instructions.then")
		c.Button = c.T("instructions.button")
		return c.T("instructions.subject", c.Shop), nil
	case letter.Receipt:
		return c.receipt(o), nil
	case letter.Reminder:
		c.Title, c.Lead, c.Then = c.T("reminder.title"), c.T("reminder.lead", ordered), c.T("reminder.then")
		c.Button = c.T("reminder.button")
		return c.T("reminder.subject", c.Shop), nil
	case letter.Expired:
		c.Title, c.Lead, c.Then = c.T("expired.title"), c.T("expired.lead", ordered), c.T("expired.then")
		c.URL = ""
		return c.T("expired.subject", c.Shop), nil
	}
	return "", fmt.Errorf("no words for a letter of the kind %q", kind)
}

func reserved(o *orderv1.Order) bool {
	return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED
}

func free(o *orderv1.Order) bool { return o.GetTotal().GetMinor() == 0 }

// receipt tells money that has come from money that is only reserved, and from
// nothing to pay.
func (c *content) receipt(o *orderv1.Order) (subject string) {
	c.Button = c.T("receipt.button")
	switch {
	case reserved(o):
		c.Title, c.Lead = c.T("receipt.title_reserved"), c.T("receipt.lead_reserved")
		subject = c.T("receipt.subject_reserved", c.Shop)
	case free(o):
		c.Title, c.Lead = c.T("receipt.title_free"), c.T("receipt.lead_free")
		subject = c.T("receipt.subject_free", c.Shop)
	default:
		c.Title, c.Lead = c.T("receipt.title"), c.T("receipt.lead")
		subject = c.T("receipt.subject", c.Shop)
	}
	for _, sum := range []struct {
		name string
		of   *orderv1.Money
	}{{c.T("mail.received"), o.GetCaptured()}, {c.T("mail.given_back"), o.GetRefunded()}} {
		if sum.of.GetMinor() > 0 {
			c.Sums = append(c.Sums, fact{Name: sum.name, Text: c.money(sum.of)})
		}
	}
	c.Buyer = buyer(c.L, o.GetCustomer())
	return subject
}

// transfer says how to pay by hand, as the pay page does.
func (c *content) transfer(o *orderv1.Order, t *Transfer) {
	c.Transfer = []fact{{Name: c.T("mail.amount"), Text: c.money(o.GetTotal())}}
	if b := words.Line(t.Beneficiary, maxName); b != "" {
		c.Transfer = append(c.Transfer, fact{Name: c.T("mail.beneficiary"), Text: b})
	}
	if a := words.Line(t.Account, maxName); a != "" {
		c.Transfer = append(c.Transfer, fact{Name: c.T("mail.account"), Text: a, Code: true})
	}
	c.Transfer = append(c.Transfer, fact{Name: c.T("mail.payment_reference"), Text: t.Reference, Code: true})
	c.TransferText = strings.Join(lines(t.Text), "\n")
}

// bill says what was ordered, and when.
func (c *content) bill(o *orderv1.Order) {
	c.Facts = []fact{{Name: c.T("mail.order"), Text: o.GetId(), Code: true}}
	if ref := words.Line(o.GetReference(), maxName); ref != "" {
		c.Facts = append(c.Facts, fact{Name: c.T("mail.reference"), Text: ref, Code: true})
	}
	c.Facts = append(c.Facts, fact{Name: c.T("mail.ordered"), Text: c.L.Time(o.GetCreateTime().AsTime())})
	if t := o.GetPaidTime(); t != nil {
		c.Facts = append(c.Facts, fact{Name: c.T("mail.paid"), Text: c.L.Time(t.AsTime())})
	}
	if id := o.GetPaidAttemptId(); id != "" {
		c.Facts = append(c.Facts, fact{Name: c.T("mail.transaction"), Text: id, Code: true})
	}
	for _, l := range o.GetLines() {
		before := Amount(l.GetAmount())
		before.Minor += l.GetDiscount().GetMinor()
		shown := line{Name: words.Line(l.GetName(), maxName), Amount: c.L.Money(before)}
		if l.GetQuantity() != 1 {
			shown.Each = c.T("mail.each", c.L.Number(l.GetQuantity()), c.money(l.GetUnitPrice()))
		}
		c.Lines = append(c.Lines, shown)
	}
	if d := o.GetDiscount(); d.GetMinor() > 0 {
		c.Discount, c.Code = c.money(d), words.Line(o.GetDiscountCode(), maxName)
	}
	c.Total = c.money(o.GetTotal())
}

// buyer is who buys, line by line.
func buyer(l *words.Language, c *orderv1.Customer) []string {
	out := append([]string{words.Line(c.GetCompany(), maxName), words.Line(c.GetName(), maxName)}, lines(c.GetAddress())...)
	if vat := words.Line(c.GetVatId(), maxName); vat != "" {
		out = append(out, l.Say("mail.vat", vat))
	}
	return slices.DeleteFunc(append(out, c.GetEmail()), func(s string) bool { return s == "" })
}

func (c *content) money(m *orderv1.Money) string { return c.L.Money(Amount(m)) }

// Amount is an amount of the order service.
func Amount(m *orderv1.Money) money.Amount {
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}
}

// Longest texts of people, in characters. Merchants' names are part of subjects,
// and of a header that is encoded before it is measured, which have less room.
const (
	maxName   = 200
	maxShop   = 150
	maxSender = 50
)

// lines are the lines of a text that are not empty.
func lines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if l = words.Line(l, 1000); l != "" {
			out = append(out, l)
		}
	}
	return out
}
