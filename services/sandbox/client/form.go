package client

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Form is a form of a page, filled in as the page came.
type Form struct {
	Method string
	Action *url.URL
	Fields url.Values
	// Choices are the values of each group of radio buttons, by name.
	Choices map[string][]string
	Buttons []Button
	// Text is what stands on it.
	Text string
	// Visible is how many fields there are to fill in.
	Visible int
}

// onward says that a form only carries hidden fields to another site: a browser with scripts would send it by itself.
func (f Form) onward(page *url.URL) bool {
	return f.Method == http.MethodPost && f.Visible == 0 && len(f.Buttons) == 1 && f.Buttons[0].Name == "" && f.Action.Host != page.Host
}

// Button submits a form.
type Button struct {
	Name, Value string
	// Text is what stands on it.
	Text string
}

func (f Form) clone() url.Values {
	fields := maps.Clone(f.Fields)
	for name, values := range fields {
		fields[name] = slices.Clone(values)
	}
	return fields
}

func (f Form) button(name, value string) (Button, bool) {
	for _, b := range f.Buttons {
		if b.Name == name && b.Value == value {
			return b, true
		}
	}
	return Button{}, false
}

// offers finds the button for a payment method: one that names it, else the first of a form that does. Everything offers
// the empty method.
func (f Form) offers(method string) (Button, bool) {
	for _, b := range f.Buttons {
		if strings.Contains(b.Value+"\n"+b.Text, method) {
			return b, true
		}
	}
	for name, values := range f.Choices {
		if i := slices.IndexFunc(values, func(v string) bool { return strings.Contains(v, method) }); i >= 0 && len(f.Buttons) > 0 {
			f.Fields.Set(name, values[i])
			return f.Buttons[0], true
		}
	}
	named := strings.Contains(f.Text+"\n"+f.Action.String(), method)
	for _, values := range f.Fields {
		named = named || slices.Contains(values, method)
	}
	if !named || len(f.Buttons) == 0 {
		return Button{}, named
	}
	return f.Buttons[0], true
}

// parse finds the page's forms and its refresh.
func (p *Page) parse() error {
	root, err := html.ParseWithOptions(strings.NewReader(p.Body), html.ParseOptionEnableScripting(false))
	if err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	for node := range root.Descendants() {
		switch node.DataAtom {
		case atom.Meta:
			if strings.EqualFold(attribute(node, "http-equiv"), "refresh") {
				if err := p.refresh(attribute(node, "content")); err != nil {
					return err
				}
			}
		case atom.Form:
			form, err := p.form(node)
			if err != nil {
				return err
			}
			p.Forms = append(p.Forms, form)
		default:
		}
	}
	return nil
}

func (p *Page) form(root *html.Node) (Form, error) {
	action, err := p.URL.Parse(attribute(root, "action"))
	if err != nil {
		return Form{}, fmt.Errorf("form's action: %w", err)
	}
	form := Form{Method: http.MethodGet, Action: action, Fields: url.Values{}, Choices: map[string][]string{}, Text: textOf(root)}
	if strings.EqualFold(attribute(root, "method"), "post") {
		form.Method = http.MethodPost
	}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode || has(node, "disabled") {
			continue
		}
		name := attribute(node, "name")
		switch node.DataAtom {
		case atom.Input:
			form.input(node, name)
		case atom.Button:
			if kind := attribute(node, "type"); kind == "" || kind == "submit" {
				form.Buttons = append(form.Buttons, Button{name, attribute(node, "value"), textOf(node)})
			}
		case atom.Select:
			form.Visible++
			if value, ok := selected(node); ok && name != "" {
				form.Fields.Add(name, value)
			}
		case atom.Textarea:
			form.Visible++
			if name != "" {
				form.Fields.Add(name, textOf(node))
			}
		default:
		}
	}
	return form, nil
}

func (f *Form) input(node *html.Node, name string) {
	value := attribute(node, "value")
	if kind := strings.ToLower(attribute(node, "type")); kind != "hidden" && kind != "submit" {
		f.Visible++
	}
	switch strings.ToLower(attribute(node, "type")) {
	case "submit":
		f.Buttons = append(f.Buttons, Button{name, value, value})
	case "checkbox", "radio":
		if value == "" {
			value = "on"
		}
		if name != "" && strings.EqualFold(attribute(node, "type"), "radio") {
			f.Choices[name] = append(f.Choices[name], value)
		}
		if name != "" && has(node, "checked") {
			f.Fields.Add(name, value)
		}
	case "button", "reset", "image", "file":
	default:
		if name != "" {
			f.Fields.Add(name, value)
		}
	}
}

// selected gives the value of a select's chosen option, the first if none is marked.
func selected(node *html.Node) (value string, ok bool) {
	for option := range node.Descendants() {
		if option.DataAtom != atom.Option || (ok && !has(option, "selected")) {
			continue
		}
		value, ok = textOf(option), true
		if has(option, "value") {
			value = attribute(option, "value")
		}
		if has(option, "selected") {
			return value, true
		}
	}
	return value, ok
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(node *html.Node, name string) bool {
	return slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func textOf(root *html.Node) string {
	var text strings.Builder
	for node := range root.Descendants() {
		if node.Type == html.TextNode {
			text.WriteString(node.Data)
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}
