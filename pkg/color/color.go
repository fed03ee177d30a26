// Package color owns colours that people choose and that have to be readable.
//
// It takes "#rrggbb" and grounds, and gives the nearest colour that can be read
// on a ground, and the text colour that can be read on it (WCAG 2.2, 1.4.3). It is pure.
package color

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// RGB is a colour. It prints as "#rrggbb".
type RGB struct{ R, G, B uint8 }

// Colours that text has on others.
var (
	White = RGB{255, 255, 255}
	Black = RGB{}
	// Ink is the dark text colour.
	Ink = RGB{12, 18, 28}
)

// readable is the contrast that WCAG 2.2 (1.4.3) asks for.
const readable = 4.5

// Parse reads "#rrggbb".
func Parse(s string) (c RGB, ok bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return RGB{}, false
	}
	return RGB{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true //nolint:gosec // each is cut to its byte
}

func (c RGB) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// On is the colour, made darker or lighter until it is readable on a ground.
func (c RGB) On(ground RGB) RGB {
	towards := Black
	if Contrast(White, ground) > Contrast(Black, ground) {
		towards = White
	}
	out := c
	for step := 0.0; Contrast(out, ground) < readable && step <= 1; step += 0.02 {
		out = RGB{mix(c.R, towards.R, step), mix(c.G, towards.G, step), mix(c.B, towards.B, step)}
	}
	return out
}

// Text is the text colour that is best read on the colour.
func (c RGB) Text() RGB {
	if Contrast(c, White) >= Contrast(c, Ink) {
		return White
	}
	return Ink
}

func mix(from, to uint8, part float64) uint8 {
	return uint8(math.Round(float64(from)*(1-part) + float64(to)*part))
}

// Contrast is the ratio of WCAG 2.2, 1 to 21.
func Contrast(a, b RGB) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c RGB) luminance() float64 {
	channel := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(c.R) + 0.7152*channel(c.G) + 0.0722*channel(c.B)
}
