package words_test

import (
	"math"
	"testing"
	"testing/fstest"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/words"
)

const (
	english = `{"language.name":"English","format.money":"{symbol}{amount}","format.date":"{day} {month} {year}",
"format.time":"{date}, {hour}:{minute} UTC","format.months":"January|February|March|April|May|June|July|August|September|October|November|December",
"greet":"Hello {0}, {1} and {0}","only":"Only here"}`
	german = "{\"language.name\":\"Deutsch\",\"format.money\":\"{amount}\u00a0{symbol}\",\"format.date\":\"{day}. {month} {year}\"," +
		`"format.time":"{date}, {hour}:{minute} Uhr (UTC)","format.months":"Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember",
"greet":"Hallo {0}, {1} und {0}"}`
)

func book(t *testing.T) *words.Book {
	t.Helper()
	b, err := words.Parse(fstest.MapFS{"w/en.json": {Data: []byte(english)}, "w/de.json": {Data: []byte(german)}}, "w", "en")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChoose(t *testing.T) {
	b := book(t)
	for _, tt := range []struct {
		wishes []string
		want   string
	}{
		{nil, "en"}, {[]string{"de"}, "de"}, {[]string{"de-AT"}, "de"}, {[]string{"", "de-CH,fr;q=0.5"}, "de"},
		{[]string{"fr", "de"}, "de"}, {[]string{"en-GB", "de"}, "en"}, {[]string{"\x00;;q=", "de"}, "de"}, {[]string{"ja"}, "en"},
	} {
		if got := b.Choose(tt.wishes...).Tag(); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.wishes, got, tt.want)
		}
	}
}

func TestSay(t *testing.T) {
	de := book(t).Choose("de")
	for _, tt := range []struct{ key, want string }{{"greet", "Hallo Ada, 2 und Ada"}, {"only", "Only here"}, {"none", "none"}} {
		if got := de.Say(tt.key, "Ada", 2); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.key, got, tt.want)
		}
	}
	if de.Has("only") || !de.Has("greet") || len(de.Keys()) != 6 || de.Name() != "Deutsch" {
		t.Errorf("catalogue %v", de.Keys())
	}
}

func TestP9MoneyIsExactInEveryLanguage(t *testing.T) {
	b := book(t)
	for _, tt := range []struct {
		minor    int64
		currency string
		en, de   string
	}{
		{1999, "EUR", "€19.99", "19,99\u00a0€"},
		{123456789, "EUR", "€1,234,567.89", "1.234.567,89\u00a0€"},
		{5, "USD", "$0.05", "0,05\u00a0$"},
		{-250, "EUR", "−€2.50", "−2,50\u00a0€"},
		{1500, "JPY", "¥1,500", "1.500\u00a0¥"},
		{12345, "KWD", "KWD\u00a012.345", "12,345\u00a0KWD"},
		{100, "CHF", "CHF\u00a01.00", "1,00\u00a0CHF"},
		{math.MaxInt64, "EUR", "€92,233,720,368,547,758.07", "92.233.720.368.547.758,07\u00a0€"},
	} {
		a := money.Amount{Minor: tt.minor, Currency: tt.currency}
		if en, de := b.Choose("en").Money(a), b.Choose("de").Money(a); en != tt.en || de != tt.de {
			t.Errorf("%s: %q and %q, want %q and %q", a, en, de, tt.en, tt.de)
		}
	}
}

func TestDates(t *testing.T) {
	b := book(t)
	at := time.Date(2026, time.March, 5, 7, 8, 0, 0, time.FixedZone("", 3600))
	if en, de := b.Choose("en").Time(at), b.Choose("de").Time(at); en != "5 March 2026, 06:08 UTC" || de != "5. März 2026, 06:08 Uhr (UTC)" {
		t.Errorf("%q, %q", en, de)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no files":         {},
		"not the first":    {"w/de.json": {Data: []byte(german)}},
		"no language":      {"w/en.json": {Data: []byte(english)}, "w/x-y-z-.json": {Data: []byte(german)}},
		"no format":        {"w/en.json": {Data: []byte(`{}`)}},
		"too few months":   {"w/en.json": {Data: []byte(`{"language.name":"x","format.money":"x","format.date":"x","format.time":"x","format.months":"a|b"}`)}},
		"not even of JSON": {"w/en.json": {Data: []byte(`x`)}},
	} {
		if _, err := words.Parse(files, "w", "en"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestInitial(t *testing.T) {
	for name, want := range map[string]string{"acme": "A", "«Übel»": "Ü", "…7 things": "7", "★": "★", "אב": "א"} {
		if got := words.Initial(name); got != want {
			t.Errorf("%q gives %q, want %q", name, got, want)
		}
	}
}
