package wording

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/mail"
	"quittance/pkg/words/wordstest"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/letter"
)

var update = flag.Bool("update", false, "write the files of testdata")

func TestCataloguesAreComplete(t *testing.T) {
	wordstest.Complete(t, catalogues, os.DirFS("."), "instructions", "receipt", "reminder", "expired", "mail")
}

func euros(minor int64) *orderv1.Money { return &orderv1.Money{Minor: minor, Currency: "EUR"} }

func order(kind letter.Kind, locale string) *orderv1.Order {
	o := &orderv1.Order{
		Id: "ord_0192f7c1d2e37a4b8c9d0e1f2a3b4c5d", MerchantId: "acme", Reference: "R-1001",
		Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace", Locale: locale, Company: "Analytical Engines", VatId: "GB1", Address: "1 St James's Sq\nLondon"},
		Lines: []*orderv1.Line{
			{Number: 1, Name: "Notepad Pro", Quantity: 2, UnitPrice: euros(123450), Amount: euros(197520), Discount: euros(49380)},
			{Number: 2, Name: "Backup", Quantity: 1, UnitPrice: euros(4900), Amount: euros(4900)},
		},
		Total: euros(202420), Discount: euros(49380), DiscountCode: "BUNDLE", PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		CreateTime: timestamppb.New(time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC)), PayUrl: "https://pay.example/pay/token",
	}
	if kind == letter.Receipt {
		o.PaymentState, o.PaidTime = orderv1.PaymentState_PAYMENT_STATE_PAID, timestamppb.New(time.Date(2026, 3, 2, 17, 30, 0, 0, time.UTC))
		o.Captured, o.Refunded, o.PaidAttemptId = euros(202420), euros(0), "pay_1"
	}
	return o
}

func merchant() *orderv1.Merchant {
	return &orderv1.Merchant{Id: "acme", Name: "Acme Software", MailFrom: "shop@acme.example", Storefront: &orderv1.Storefront{
		Color: "#ffcc00", Seller: "Acme Software GmbH\n10115 Berlin", SupportEmail: "help@acme.example",
		TermsUrl: "https://acme.example/terms", PrivacyUrl: "https://acme.example/privacy",
	}}
}

var transfer = &Transfer{Beneficiary: "Acme Software", Account: "XX00 0000 0000 0000", Reference: "pay_0192f7c1"}

var kinds = []letter.Kind{letter.Instructions, letter.Receipt, letter.Reminder, letter.Expired}

// TestLetters compares each kind in each language with its file, and text with
// HTML: they say the same.
func TestLetters(t *testing.T) {
	for _, kind := range kinds {
		for _, l := range catalogues.Languages() {
			m, err := Compose(kind, order(kind, l.Tag()), merchant(), transfer)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("From: %s\nReply-To: %s\nTo: %s\nSubject: %s\n\n%s", m.From, m.ReplyTo, m.To, m.Subject, m.Text)
			path := filepath.Join("testdata", fmt.Sprintf("%s.%s.txt", kind, l.Tag()))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || got != string(want) {
				t.Errorf("%s (go test ./services/notification/internal/wording -update): %v\n%s", path, err, got)
			}
			if strings.Contains(got, "{") {
				t.Errorf("%s: a blank is left", path)
			}
			shown := visible(t, m.HTML)
			for _, line := range strings.FieldsFunc(m.Text, func(r rune) bool { return r == '\n' }) {
				for part := range strings.SplitSeq(strings.Trim(line, " -:"), ": ") {
					name, each, _ := strings.Cut(part, " (")
					for _, words := range []string{name, strings.TrimSuffix(each, ")")} {
						if !strings.Contains(shown, strings.TrimSpace(words)) && !strings.Contains(m.HTML, words) {
							t.Errorf("%s: the HTML has no %q", path, words)
						}
					}
				}
			}
			if !strings.Contains(m.HTML, `lang="`+l.Tag()+`"`) || len(m.Pictures) != 0 {
				t.Errorf("%s: %d pictures, %.200s", path, len(m.Pictures), m.HTML)
			}
			sent(t, m)
		}
	}
}

// visible is the text of HTML.
func visible(t *testing.T, source string) string {
	t.Helper()
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return strings.Join(strings.Fields(b.String()), " ")
		case html.TextToken:
			b.WriteString(string(z.Text()) + " ")
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// sent asserts that a mail would be accepted: it gets as far as the connection.
func sent(t *testing.T, m mail.Message) {
	t.Helper()
	m.ID = "receipt_1"
	s, err := mail.NewSMTP(mail.Config{Host: "127.0.0.1", Port: 1, TLS: mail.TLSNone})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var failed *mail.SendError
	if err := s.Send(ctx, m); !errors.As(err, &failed) || failed.Step != "connect" {
		t.Errorf("%q: %v", m.Subject, err)
	}
}

// TestHostileNames: what people and merchants type is text, whatever it is.
func TestHostileNames(t *testing.T) {
	for name, evil := range map[string]string{
		"markup":  `<script>alert(1)</script><img src=x onerror=alert(2)>"' style="x`,
		"headers": "Ada\r\nBcc: evil@example.com\r\n\r\nbody",
		"rtl":     "\u202eevil\u2066 \u05d0\u05d1\u05d2",
		"emoji":   strings.Repeat("\U0001f9d1\u200d\U0001f680", 60),
		"long":    strings.Repeat("長", 3000),
		"bytes":   "\xff\x00\x1b[2J",
		"blanks":  "{0} {1} {{.Total}} %s ${x}",
		"empty":   " \n ",
	} {
		for _, kind := range kinds {
			for _, tag := range []string{"en", "de", "xx-unknown"} {
				o, m := order(kind, tag), merchant()
				c := o.GetCustomer()
				c.Name, c.Company, c.VatId, c.Address, o.Reference, o.DiscountCode = evil, evil, evil, evil, evil, evil
				o.Lines[0].Name, m.Name, m.Storefront.Seller = evil, evil, evil
				for k := range orderv1.MailKind_name {
					m.CustomerMails = &orderv1.CustomerMails{Texts: append(m.GetCustomerMails().GetTexts(), &orderv1.MailText{
						Kind: orderv1.MailKind(k), Subject: evil + "{CUSTOMER}", Introduction: evil + "{CUSTOMER}", Closing: evil + "{SHOP}",
					})}
				}
				got, err := Compose(kind, o, m, &Transfer{Beneficiary: evil, Account: evil, Reference: "pay_1", Text: evil})
				if err != nil {
					t.Fatal(err)
				}
				sent(t, got)
				if strings.ContainsAny(got.From+got.Subject, "\r\n\x00\u202e") || strings.ContainsAny(got.Text, "\r\x00\x1b\u202e\u2066") {
					t.Errorf("%s, %s: %q, %q, %q", name, kind, got.From, got.Subject, got.Text)
				}
				tags(t, got.HTML)
			}
		}
	}
}

// tags asserts that only our own markup is there.
func tags(t *testing.T, source string) {
	t.Helper()
	allowed := map[string]bool{}
	for _, name := range strings.Fields("html head meta title body table tbody tr td img span bdi h1 h2 p div a br") {
		allowed[name] = true
	}
	z := html.NewTokenizer(strings.NewReader(source))
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := z.Token()
		if !allowed[token.Data] {
			t.Errorf("a tag %s", token)
		}
		for _, a := range token.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" && a.Val != "cid:logo" || strings.Contains(a.Val, "alert") {
				t.Errorf("a tag %s", token)
			}
		}
	}
}

// TestDress: colour and logo are the merchant's, the colour made readable.
func TestDress(t *testing.T) {
	m := merchant()
	m.Storefront.Logo = []byte("\x89PNG\r\n\x1a\n0000")
	got, err := Compose(letter.Receipt, order(letter.Receipt, "en"), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Pictures) != 1 || got.Pictures[0].Type != "image/png" || !strings.Contains(got.HTML, `src="cid:logo"`) || strings.Contains(got.HTML, "#ffcc00") {
		t.Errorf("%v\n%s", got.Pictures, got.HTML)
	}
	sent(t, got)
	m.Storefront = &orderv1.Storefront{Color: "red;}", Logo: []byte("<svg>")}
	if got, err = Compose(letter.Receipt, order(letter.Receipt, "en"), m, nil); err != nil || len(got.Pictures) != 0 || strings.Contains(got.HTML, "red;}") || !strings.Contains(got.HTML, usual.String()) {
		t.Errorf("%v %s", err, got.HTML)
	}
	if _, err := Compose(letter.Instructions, order(letter.Instructions, "en"), m, nil); err == nil {
		t.Error("instructions without a transfer")
	}
}

// TestReceiptsSayWhatCame: reserved money is not called received, and nothing is
// not called a payment.
func TestReceiptsSayWhatCame(t *testing.T) {
	reserved := order(letter.Receipt, "en")
	reserved.PaymentState, reserved.Captured, reserved.PaidTime = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, nil, nil
	free := order(letter.Receipt, "en")
	free.Total, free.Captured = euros(0), nil
	back := order(letter.Receipt, "en")
	back.PaymentState, back.Refunded = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, euros(4900)
	for want, o := range map[string]*orderv1.Order{
		"is reserved": reserved, "nothing to pay": free, "Given back: €49.00": back,
	} {
		got, err := Compose(letter.Receipt, o, merchant(), nil)
		if err != nil || !strings.Contains(got.Text, want) || (o != back) == strings.Contains(got.Text, "payment has arrived") {
			t.Errorf("%s: %v\n%s", want, err, got.Text)
		}
	}
}

// TestOwnWords: the merchant's own words stand in the place of ours, filled in, in
// the customer's language or for all; what they leave out is ours, and amount and
// reference are there in any case.
func TestOwnWords(t *testing.T) {
	texts := []*orderv1.MailText{
		{Kind: orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, Language: "de", Subject: "Servus {CUSTOMER}: {TOTAL}", Introduction: "Danke!\r\n\r\n\r\nBitte {TOTAL}\nan {SHOP} für {ORDER}.", Closing: "Dein {SHOP}"},
		{Kind: orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, Language: "pt-BR", Closing: "Obrigado"},
		{Kind: orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, Introduction: "To {CUSTOMER}."},
		{Kind: orderv1.MailKind_MAIL_KIND_RECEIPT, Subject: "Paid", Introduction: "It came.", Closing: "Bye"},
	}
	for locale, want := range map[string][]string{
		"de":    {"Servus Ada Lovelace: 2.024,20 €", "Danke!\n\nBitte 2.024,20\u00a0€\nan Acme Software für ord_0192f7c1d2e37a4b8c9d0e1f2a3b4c5d.", "Dein Acme Software"},
		"de-AT": {"Servus Ada Lovelace: 2.024,20 €", "Danke!", "Dein Acme Software"},
		"pt-BR": {"How to pay your order at Acme Software", "We have received your order.", "Obrigado"},
		"en":    {"How to pay your order at Acme Software", "To Ada Lovelace.", "You get an e-mail then."},
		"":      {"How to pay your order at Acme Software", "To Ada Lovelace.", "You get an e-mail then."},
		"nl":    {"How to pay your order at Acme Software", "To Ada Lovelace.", "You get an e-mail then."},
	} {
		m := merchant()
		m.CustomerMails = &orderv1.CustomerMails{Texts: texts}
		got, err := Compose(letter.Instructions, order(letter.Instructions, locale), m, transfer)
		if err != nil || got.Subject != want[0] {
			t.Errorf("%q: %v, subject %q", locale, err, got.Subject)
		}
		for _, words := range append(want[1:], transfer.Reference, transfer.Account) {
			if !strings.Contains(got.Text, words) || !strings.Contains(visible(t, got.HTML), strings.Join(strings.Fields(words), " ")) {
				t.Errorf("%q: no %q in\n%s\n%s", locale, words, got.Text, got.HTML)
			}
		}
		sent(t, got)
	}

	m := merchant()
	m.CustomerMails = &orderv1.CustomerMails{Texts: texts}
	reserved := order(letter.Receipt, "en")
	reserved.PaymentState = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED
	free := order(letter.Receipt, "en")
	free.Total = euros(0)
	for name, o := range map[string]*orderv1.Order{"paid": order(letter.Receipt, "en"), "reserved": reserved, "free": free} {
		got, err := Compose(letter.Receipt, o, m, nil)
		if own := name == "paid"; err != nil || strings.Contains(got.Text, "It came.") != own || (got.Subject == "Paid") != own || !strings.Contains(got.Text, "Bye") {
			t.Errorf("%s: %v, %q\n%s", name, err, got.Subject, got.Text)
		}
	}
}
