package delivery

import (
	"html"
	"strings"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Default texts of a mail.
const (
	licenseText = "Thank you for your order {ORDER}.\n\nYour licence of {PRODUCT}:\n\n{KEY}\n"
	plainText   = "Thank you for your order {ORDER}.\n\n{PRODUCT} is ready for you.\n"
)

// Template is a merchant's own mail of a product; what is empty is left to the
// defaults.
type Template struct {
	Subject, Text, HTML string
}

// Content is a mail without its addresses.
type Content struct {
	Subject, Text, HTML string
}

// Compose writes a mail. A template that forgets the keys gets them at its end.
// Without a template the text counts that the order brought.
func (d *Delivery) Compose(m Letter, t Template, keys []string) Content {
	l := d.line(m.Line)
	if t == (Template{}) {
		t.Text = d.MailTexts[l.Product]
	}
	switch l.Method {
	case orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE:
		t = withKeys(t)
	case orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL, orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED:
		t.Subject = or(t.Subject, "Your order of {PRODUCT}")
		if t.HTML == "" {
			t.Text = or(t.Text, plainText)
		}
	}
	values := []string{"{PRODUCT}", l.Name, "{ORDER}", d.Order, "{CUSTOMER}", or(d.Customer, d.Email)}
	escaped := []string{"{KEY}", strings.ReplaceAll(html.EscapeString(strings.Join(keys, "\n")), "\n", "<br>\n")}
	for i, v := range values {
		if i%2 == 1 {
			v = html.EscapeString(v)
		}
		escaped = append(escaped, v)
	}
	return Content{
		Subject: strings.NewReplacer(values...).Replace(t.Subject),
		Text:    strings.NewReplacer(append(values, "{KEY}", strings.Join(keys, "\n"))...).Replace(t.Text),
		HTML:    strings.NewReplacer(escaped...).Replace(t.HTML),
	}
}

// withKeys completes a template of a mail with licences.
func withKeys(t Template) Template {
	t.Subject = or(t.Subject, "Your licence of {PRODUCT}")
	switch {
	case t.Text == "":
		t.Text = licenseText // also beside HTML: some readers see nothing else
	case !strings.Contains(t.Text, "{KEY}"):
		t.Text += "\n\n{KEY}\n"
	}
	if t.HTML != "" && !strings.Contains(t.HTML, "{KEY}") {
		t.HTML += "\n<p>{KEY}</p>\n"
	}
	return t
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
