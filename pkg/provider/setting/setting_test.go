package setting

import (
	"testing"
	"time"

	"quittance/pkg/provider"
)

func TestBaseURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://api.example/v1/": "https://api.example/v1", "http://127.0.0.1:8090/x": "http://127.0.0.1:8090/x",
		"http://localhost": "http://localhost", "http://api.example": "", "https://user@api.example": "", "https://api.example?a=b": "",
		"api.example": "", "": "", "https:opaque": "", "ftp://api.example": "",
	} {
		got, err := BaseURL("base_url", text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	networks, err := Networks("callback_cidrs", "192.0.2.7, 198.51.100.0/24,2001:db8::/32")
	if err != nil {
		t.Fatal(err)
	}
	for remote, want := range map[string]bool{
		"192.0.2.7": true, "192.0.2.8": false, "198.51.100.200": true, "::ffff:192.0.2.7": true, "2001:db8::1": true, "x": false, "": false,
	} {
		if Within(networks, remote) != want {
			t.Errorf("%q: %v", remote, !want)
		}
	}
	for _, list := range []string{"192.0.2.7/24", "x", "192.0.2.7,", "::ffff:192.0.2.7"} {
		if _, err := Networks("callback_cidrs", list); err == nil {
			t.Errorf("%q passes", list)
		}
	}
	if Within(nil, "192.0.2.7") {
		t.Error("nobody is within no network")
	}
}

func TestWords(t *testing.T) {
	builtIn := map[string]provider.State{"CAPTURED": provider.Paid}
	words, err := Words(map[string]string{"status.failed": "DENIED, BROKEN", "shop_id": "1"}, builtIn)
	if err != nil || words["DENIED"] != provider.Failed || words["BROKEN"] != provider.Failed || words["CAPTURED"] != provider.Paid || len(builtIn) != 1 {
		t.Fatalf("%v, %v", words, err)
	}
	for name, list := range map[string]string{"status.paidd": "X", "status.failed": "CAPTURED", "status.pending": "a b", "status.paid": ""} {
		if _, err := Words(map[string]string{name: list}, builtIn); err == nil {
			t.Errorf("%s %q passes", name, list)
		}
	}
}

func TestScheduleKeepsTheDefaultOfWhatIsUnusable(t *testing.T) {
	defaults := provider.Schedule{First: time.Minute, Life: time.Hour}
	got, err := Schedule(map[string]string{"first": "2m", "life": "soon", "then": "1s,2s"}, defaults)
	if err == nil || got.First != 2*time.Minute || got.Life != time.Hour || len(got.Then) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
}
