package edge

import "testing"

// TestL6ASenderIsItsNetwork: who has one IPv6 address has 2^64 of them.
func TestL6ASenderIsItsNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"2001:db8:1:3::9": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64", "": "", "@": "@",
	} {
		if got := sender(remote); got != want {
			t.Errorf("%q is of %q, want %q", remote, got, want)
		}
	}
}
