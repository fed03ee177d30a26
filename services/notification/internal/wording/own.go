package wording

import (
	"strings"

	"golang.org/x/text/language"

	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/letter"
)

// maxSubject bounds a subject once it is filled in, in characters.
const maxSubject = 200

// own is what the merchant itself says in a letter of the kind to a customer of
// the locale, nil if that is nothing: in the customer's language, else what it
// says in all others. A text in some other language is none.
func own(texts []*orderv1.MailText, kind letter.Kind, locale string) (rest *orderv1.MailText) {
	var tags []language.Tag
	var of []*orderv1.MailText
	for _, t := range texts {
		if letter.Kinds[t.GetKind()] != kind {
			continue
		}
		if t.GetLanguage() == "" {
			rest = t
		} else if tag, err := language.Parse(t.GetLanguage()); err == nil {
			tags, of = append(tags, tag), append(of, t)
		}
	}
	if wanted, err := language.Parse(locale); err == nil && len(tags) > 0 {
		if _, i, sure := language.NewMatcher(tags).Match(wanted); sure >= language.High {
			return of[i]
		}
	}
	return rest
}

// personalize puts the merchant's own words, filled in, in the place of ours, and
// gives the subject. Subject and introduction of a receipt are about money that has
// come: where it has not, ours stay.
func (c *content) personalize(kind letter.Kind, t *orderv1.MailText, o *orderv1.Order, subject string) string {
	customer := words.Name(o.GetCustomer().GetName(), maxName)
	if customer == "" {
		customer = o.GetCustomer().GetEmail()
	}
	fill := strings.NewReplacer("{ORDER}", o.GetId(), "{CUSTOMER}", customer, "{TOTAL}", c.money(o.GetTotal()), "{SHOP}", c.Shop)
	if own := fill.Replace(paragraphs(t.GetClosing())); own != "" {
		c.Then = own
	}
	if kind == letter.Receipt && (reserved(o) || free(o)) {
		return subject
	}
	if own := fill.Replace(paragraphs(t.GetIntroduction())); own != "" {
		c.Lead = own
	}
	if own := words.Line(fill.Replace(t.GetSubject()), maxSubject); own != "" {
		return own
	}
	return subject
}

// paragraphs are the lines of a text, with one empty line between those that have
// some.
func paragraphs(s string) string {
	var out []string
	for part := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if kept := lines(part); len(kept) > 0 {
			out = append(out, strings.Join(kept, "\n"))
		}
	}
	return strings.Join(out, "\n\n")
}
