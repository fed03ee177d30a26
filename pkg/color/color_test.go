package color

import "testing"

func TestColoursAreReadable(t *testing.T) {
	for _, chosen := range []string{"#000000", "#ffffff", "#ffff00", "#0b6e5c", "#ff0000", "#7f7f7f", "#1b57b0", "#00ff00"} {
		c, ok := Parse(chosen)
		if !ok || c.String() != chosen {
			t.Fatal(chosen, c)
		}
		for _, ground := range []RGB{White, {25, 31, 40}} {
			on := c.On(ground)
			if ratio := Contrast(on, ground); ratio < readable {
				t.Errorf("%s as %s on %s: %.2f", chosen, on, ground, ratio)
			}
			if ratio := Contrast(on.Text(), on); ratio < readable {
				t.Errorf("text %s on %s: %.2f", on.Text(), on, ratio)
			}
		}
	}
	for _, bad := range []string{"", "red", "#fff", "#12345g", "#1234567", "}body{x:y"} {
		if c, ok := Parse(bad); ok {
			t.Errorf("%q gives %s", bad, c)
		}
	}
}
