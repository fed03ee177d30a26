// Package words owns how texts, amounts and dates look in the languages of
// people: message catalogues, one file per language, and the locale's formats.
//
// It takes a directory of JSON files, each named after its language ("de.json")
// with a text per key, and gives a [Language] for what a person prefers. A
// further language is a further file. Texts may hold {0}, {1} … for arguments.
package words

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"quittance/pkg/money"
)

// Keys that every catalogue has: how the language calls itself, and, unless it has
// texts without amounts and dates only, its formats.
const (
	// KeyName is the language's own name.
	KeyName = "language.name"
	// KeyMoney places {symbol} and {amount}.
	KeyMoney = "format.money"
	// KeyDate places {day}, {month} and {year}; KeyTime {date}, {hour} and {minute}.
	KeyDate = "format.date"
	KeyTime = "format.time"
	// KeyMonths are the names of the months, separated by |.
	KeyMonths = "format.months"
)

// Book is a set of catalogues.
type Book struct {
	languages []*Language
	matcher   language.Matcher
}

// Language is one catalogue with its formats. It is safe for concurrent use.
type Language struct {
	tag      language.Tag
	texts    map[string]string
	months   []string
	printer  *message.Printer
	point    string
	fallback *Language
}

// MustParse is Parse of files that are part of the program; it panics if they
// can't be read.
func MustParse(files fs.FS, dir, first string) *Book {
	b, err := Parse(files, dir, first)
	if err != nil {
		panic(err)
	}
	return b
}

// Parse reads every *.json of dir. first is the language that is used where a
// person's are not there, or a text is missing.
func Parse(files fs.FS, dir, first string) (*Book, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list catalogues: %w", err)
	}
	b := &Book{}
	for _, name := range names {
		l, err := parse(files, name)
		if err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", name, err)
		}
		if l.Tag() == first {
			b.languages = append([]*Language{l}, b.languages...)
		} else {
			b.languages = append(b.languages, l)
		}
	}
	if len(b.languages) == 0 || b.languages[0].Tag() != first {
		return nil, fmt.Errorf("no catalogue of %q", first)
	}
	var tags []language.Tag
	for _, l := range b.languages {
		tags = append(tags, l.tag)
		if l != b.languages[0] {
			l.fallback = b.languages[0]
		}
	}
	b.matcher = language.NewMatcher(tags)
	return b, nil
}

func parse(files fs.FS, name string) (*Language, error) {
	tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
	if err != nil {
		return nil, fmt.Errorf("name of the file: %w", err)
	}
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	l := &Language{tag: tag, printer: message.NewPrinter(tag)}
	if err := json.Unmarshal(raw, &l.texts); err != nil {
		return nil, err
	}
	formats := []string{KeyMoney, KeyDate, KeyTime, KeyMonths}
	lacks := func(key string) bool { return l.texts[key] == "" }
	switch i := slices.IndexFunc(formats, lacks); {
	case lacks(KeyName):
		return nil, fmt.Errorf("%s is missing", KeyName)
	case i >= 0 && slices.ContainsFunc(formats, l.Has):
		return nil, fmt.Errorf("%s is missing", formats[i])
	case i >= 0:
		return l, nil
	}
	if l.months = strings.Split(l.texts[KeyMonths], "|"); len(l.months) != 12 {
		return nil, errors.New("format.months must have 12 names")
	}
	// What stands between the ones of a half tells the decimal separator.
	half := l.printer.Sprint(number.Decimal(1.5))
	zero, five := l.printer.Sprint(number.Decimal(1)), l.printer.Sprint(number.Decimal(5))
	l.point = strings.TrimSuffix(strings.TrimPrefix(half, zero), five)
	return l, nil
}

// Languages lists the languages, the first one first.
func (b *Book) Languages() []*Language { return slices.Clone(b.languages) }

// Choose returns the language that fits best: wishes are BCP 47 tags or
// Accept-Language headers, the strongest first; unreadable ones count nothing.
func (b *Book) Choose(wishes ...string) *Language {
	for _, w := range wishes {
		tags, _, err := language.ParseAcceptLanguage(w)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, sure := b.matcher.Match(tags...); sure != language.No {
			return b.languages[i]
		}
	}
	return b.languages[0]
}

// Tag is the language's BCP 47 tag.
func (l *Language) Tag() string { return l.tag.String() }

// Name is what the language calls itself.
func (l *Language) Name() string { return l.texts[KeyName] }

// Keys lists the catalogue's keys.
func (l *Language) Keys() []string { return slices.Sorted(maps.Keys(l.texts)) }

// Has says whether there is such a text.
func (l *Language) Has(key string) bool { return l.texts[key] != "" }

// Say returns the text of a key with arguments in the place of {0}, {1} …; the
// first language's if it is missing, and the key itself as the last resort.
func (l *Language) Say(key string, args ...any) string {
	text, ok := l.texts[key]
	switch {
	case !ok && l.fallback != nil:
		return l.fallback.Say(key, args...)
	case !ok:
		return key
	}
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", fmt.Sprint(a))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Number formats an integer.
func (l *Language) Number(n int64) string { return l.printer.Sprint(number.Decimal(n)) }

// Money formats an amount with the currency's symbol. It never rounds.
func (l *Language) Money(a money.Amount) string {
	exponent, known := money.Exponent(a.Currency)
	unit, err := currency.ParseISO(a.Currency)
	if !known || err != nil {
		return a.String()
	}
	scale := int64(1)
	for range exponent {
		scale *= 10
	}
	whole, part, sign := a.Minor/scale, a.Minor%scale, ""
	if a.Minor < 0 {
		whole, part, sign = -whole, -part, "−"
	}
	text := l.Number(whole)
	if exponent > 0 {
		text += l.point + l.printer.Sprint(number.Decimal(part, number.MinIntegerDigits(exponent), number.NoSeparator()))
	}
	symbol := l.printer.Sprint(currency.NarrowSymbol(unit))
	pattern := l.texts[KeyMoney]
	if symbol == a.Currency { // letters need a space on either side
		pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "}{", "}\u00a0{"), "} {", "}\u00a0{")
	}
	return sign + strings.NewReplacer("{symbol}", symbol, "{amount}", text).Replace(pattern)
}

// Date formats the day of a time, in UTC.
func (l *Language) Date(t time.Time) string {
	t = t.UTC()
	return strings.NewReplacer("{day}", strconv.Itoa(t.Day()), "{month}", l.months[t.Month()-1], "{year}", strconv.Itoa(t.Year())).
		Replace(l.texts[KeyDate])
}

// Time formats a time to the minute, in UTC.
func (l *Language) Time(t time.Time) string {
	t = t.UTC()
	return strings.NewReplacer("{date}", l.Date(t), "{hour}", t.Format("15"), "{minute}", t.Format("04")).Replace(l.texts[KeyTime])
}
