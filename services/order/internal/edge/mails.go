package edge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/order"
)

// Limits of reminders and of merchants' own texts.
const (
	maxMailTexts = 20
	maxMailWords = 2_000
	maxReminders = 5
	remindApart  = time.Hour
	remindAtLast = order.ExpireAfter - 24*time.Hour
)

// usualReminders are those of merchants that have none of their own.
var usualReminders = []time.Duration{3 * 24 * time.Hour, 10 * 24 * time.Hour}

// remindersOf are the times at which a merchant's customers are reminded.
func remindersOf(m *orderv1.CustomerMails) []time.Duration {
	if len(m.GetReminders()) == 0 {
		return usualReminders
	}
	var out []time.Duration
	for _, r := range m.GetReminders() {
		out = append(out, r.AsDuration())
	}
	return out
}

// validateMails checks which mails customers get, and when they are reminded.
func validateMails(v *fault.Validation, field string, m *orderv1.CustomerMails) {
	kinds := orderv1.MailKind_name
	v.Check(len(m.GetOff()) < len(kinds), field+".off", "must have at most %d entries", len(kinds)-1)
	for i, kind := range m.GetOff() {
		_, known := kinds[int32(kind)]
		v.Check(known && kind != orderv1.MailKind_MAIL_KIND_UNSPECIFIED, fmt.Sprintf("%s.off[%d]", field, i), "is not a kind of mail")
	}
	v.Check(len(m.GetReminders()) <= maxReminders, field+".reminders", "must have at most %d entries", maxReminders)
	var before time.Duration
	for i, r := range m.GetReminders() {
		at := r.AsDuration()
		v.Check(r.IsValid() && at-before >= remindApart && at <= remindAtLast, fmt.Sprintf("%s.reminders[%d]", field, i),
			"must be at least an hour after the one before, and at most 89 days")
		before = at
	}
	validateTexts(v, field+".texts", m.GetTexts())
}

// blanks are what mails replace in merchants' own texts. Anything that looks like
// one and isn't is a slip that customers would read.
var (
	blanks    = []string{"{ORDER}", "{CUSTOMER}", "{TOTAL}", "{SHOP}"}
	blankLike = regexp.MustCompile(`\{[A-Za-z_]+\}`)
)

// validateTexts checks what a merchant says in mails.
func validateTexts(v *fault.Validation, field string, texts []*orderv1.MailText) {
	v.Check(len(texts) <= maxMailTexts, field, "must have at most %d entries", maxMailTexts)
	seen := map[string]bool{}
	for i, t := range texts {
		at := fmt.Sprintf("%s[%d]", field, i)
		_, known := orderv1.MailKind_name[int32(t.GetKind())]
		v.Check(known && t.GetKind() != orderv1.MailKind_MAIL_KIND_UNSPECIFIED, at+".kind", "is not a kind of mail")
		v.Check(t.GetLanguage() == "" || locale.MatchString(t.GetLanguage()), at+".language", "must be a language tag such as \"de\" or \"de-AT\", or empty")
		whose := t.GetKind().String() + " " + strings.ToLower(t.GetLanguage())
		v.Check(!seen[whose], at, "is there twice: one entry for a kind and a language")
		seen[whose] = true
		v.Check(t.GetSubject()+t.GetIntroduction()+t.GetClosing() != "", at, "must have a subject, an introduction or a closing")
		text(v, at+".subject", t.GetSubject(), 0, 200)
		lines(v, at+".introduction", t.GetIntroduction(), maxMailWords)
		lines(v, at+".closing", t.GetClosing(), maxMailWords)
		for _, part := range []struct{ name, text string }{
			{".subject", t.GetSubject()}, {".introduction", t.GetIntroduction()}, {".closing", t.GetClosing()},
		} {
			for _, found := range blankLike.FindAllString(part.text, -1) {
				v.Check(slices.Contains(blanks, found), at+part.name, "must not have %s: only %s are replaced", found, strings.Join(blanks, ", "))
			}
		}
	}
}
