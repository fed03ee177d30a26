package delivery

import (
	"embed"
	"html"
	"strings"

	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

//go:embed words/*.json
var wordFiles embed.FS

// maxName bounds a customer's name in a mail, in characters.
const maxName = 100

// catalogues hold the mails of products that have no text of their merchant's.
var catalogues = words.MustParse(wordFiles, "words", "en")

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
// Without a template the text counts that the order brought, and without that
// ours in the customer's language.
func (d *Delivery) Compose(m Letter, t Template, keys []string) Content {
	l, ours := d.line(m.Line), catalogues.Choose(d.Locale)
	if t == (Template{}) {
		t.Text = d.MailTexts[l.Product]
	}
	switch l.Method {
	case orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE:
		t = withKeys(t, ours)
	case orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL, orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED:
		t.Subject = or(t.Subject, ours.Say("letter.ready_subject"))
		if t.HTML == "" {
			t.Text = or(t.Text, ours.Say("letter.ready"))
		}
	}
	values := []string{"{PRODUCT}", l.Name, "{ORDER}", d.Order, "{CUSTOMER}", or(words.Name(d.Customer, maxName), d.Email)}
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
func withKeys(t Template, ours *words.Language) Template {
	t.Subject = or(t.Subject, ours.Say("letter.licence_subject"))
	switch {
	case t.Text == "":
		t.Text = ours.Say("letter.licence") // also beside HTML: some readers see nothing else
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
