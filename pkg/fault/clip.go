package fault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a fault says, in characters. Much of it quotes what a client
// sent, and a client may send anything.
const (
	maxPath    = 100
	maxMessage = 300
	maxFields  = 50
	// maxLog bounds a line's error with all its causes, maxInternal one of our
	// own mistakes, which may hold a stack.
	maxLog      = 1000
	maxInternal = 16 << 10
)

// Clip returns at most limit characters of s on one line: white space becomes
// spaces, what can't be seen becomes U+FFFD, and an ellipsis tells that
// something is missing.
func Clip(s string, limit int) string {
	return clip(s, limit, false)
}

// clip is Clip, with line feeds and tabs left as they are if lines is set.
func clip(s string, limit int, lines bool) string {
	if fits(s, limit) {
		return s
	}
	var b strings.Builder
	n, cut := 0, 0 // cut is where the ellipsis goes
	for _, r := range s {
		if n == limit {
			return b.String()[:cut] + "…"
		}
		if n == limit-1 {
			cut = b.Len()
		}
		n++
		switch {
		case lines && (r == '\n' || r == '\t'):
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsGraphic(r):
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fits says that clip would change nothing, for the common case.
func fits(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// LogText returns the text of err for a log line, with its causes, bounded. Of
// internal errors it is longer, so that a panic's stack fits.
func LogText(err error) string {
	if err == nil {
		return ""
	}
	// Not err.Error(): fmt survives a nil pointer in err.
	text := fmt.Sprint(err)
	if KindOf(err) == KindInternal {
		return clip(text, maxInternal, true)
	}
	return Clip(text, maxLog)
}

func messagef(format string, args ...any) string {
	return Clip(fmt.Sprintf(format, args...), maxMessage)
}

func field(path, message string) Field {
	return Field{Path: Clip(path, maxPath), Message: Clip(message, maxMessage)}
}

// bounded returns e within all bounds, however it was made.
func (e *Error) bounded() *Error {
	c := *e
	if e.Kind == KindInternal {
		c.Message = clip(e.Message, maxInternal, true)
	} else {
		c.Message = Clip(e.Message, maxMessage)
	}
	c.Fields = nil
	for _, f := range e.Fields[:min(len(e.Fields), maxFields)] {
		c.Fields = append(c.Fields, field(f.Path, f.Message))
	}
	return &c
}
