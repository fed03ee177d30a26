package wording

import (
	"fmt"
	"strings"
)

// text is the plain body.
func (c *content) text() string {
	var b strings.Builder
	part := func(s string) {
		if s != "" {
			b.WriteString(s + "\n\n")
		}
	}
	part(c.Shop)
	part(c.Title)
	part(c.Hello)
	part(c.Lead)
	part(facts(c.Transfer))
	part(c.TransferText)
	if c.URL != "" {
		part(c.Button + ":\n" + c.URL)
	}
	part(c.Then)
	part(c.T("mail.items") + "\n" + c.items())
	part(facts(c.Facts))
	part(c.T("mail.seller") + ":\n" + strings.Join(c.Seller, "\n"))
	if len(c.Buyer) > 0 {
		part(c.T("mail.buyer") + ":\n" + strings.Join(c.Buyer, "\n"))
	}
	part(c.Help)
	b.WriteString("-- \n" + c.Why + "\n")
	for _, link := range []fact{{Name: c.T("mail.terms"), Text: c.Terms}, {Name: c.T("mail.privacy"), Text: c.Privacy}} {
		if link.Text != "" {
			fmt.Fprintf(&b, "%s: %s\n", link.Name, link.Text)
		}
	}
	return b.String()
}

func facts(list []fact) string {
	out := make([]string, 0, len(list))
	for _, f := range list {
		out = append(out, f.Name+": "+f.Text)
	}
	return strings.Join(out, "\n")
}

// items are the lines of the order with their sums.
func (c *content) items() string {
	var out []string
	for _, l := range c.Lines {
		text := "  " + l.Name
		if l.Each != "" {
			text += " (" + l.Each + ")"
		}
		out = append(out, text+": "+l.Amount)
	}
	if c.Discount != "" {
		name := c.T("mail.discount")
		if c.Code != "" {
			name += " (" + c.Code + ")"
		}
		out = append(out, "  "+name+": −"+c.Discount)
	}
	out = append(out, "  "+c.T("mail.total")+": "+c.Total)
	for _, s := range c.Sums {
		out = append(out, "  "+s.Name+": "+s.Text)
	}
	return strings.Join(out, "\n")
}
