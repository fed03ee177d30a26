package returns

import (
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	list := []string{"https://shop.example/back", "http://127.0.0.1:8090/"}
	for _, good := range []string{
		"https://shop.example/back", "https://shop.example/back/", "https://SHOP.example/back/x?y=1", "http://127.0.0.1:8090/any", "https://shop.example/a/../back",
	} {
		if err := Allowed(good, list); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "/back", "//shop.example/back", "javascript:alert(1)", "https://shop.example", "https://shop.example/backdoor", "http://shop.example/back",
		"https://shop.example:444/back", "https://me@shop.example/back", "https://shop.example/back#x", "https://evil.example/back", `https://shop.example\@evil.example/back`,
		"https://shop.example/back/../x", "https://shop.example/back/%2e%2e/x", "https://shop.example/back/..%2fx",
		"https://shop.example/back/..;/x", "https://shop.example/back/%5c..%5cx", "https://shop.example/back?" + strings.Repeat("x", maxURL),
	} {
		if err := Allowed(bad, list); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
