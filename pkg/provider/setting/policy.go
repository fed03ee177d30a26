package setting

import (
	"fmt"
	"strconv"
	"time"
)

// Policy is what an account's settings say for every provider.
type Policy struct {
	// DeliverOnAuthorized (deliver_on=authorized): reserved money is enough to deliver.
	DeliverOnAuthorized bool
	// CaptureOn (capture_on) is when reserved money is taken without the
	// merchant asking: "authorized", "delivered", or "" for never.
	CaptureOn string
	// StatusRate (status_rate) is how many calls a second the account's provider
	// gets at most.
	StatusRate int
	// ResendAfter (resend_after) is how long an operation without an answer is
	// only asked about before it is sent again.
	ResendAfter time.Duration
}

// Defaults, all ours: no vendor publishes such figures.
const (
	defaultStatusRate  = 10
	maxStatusRate      = 1000
	defaultResendAfter = 10 * time.Minute
)

// PolicyOf reads the settings that every account has; errors name the setting.
func PolicyOf(settings map[string]string) (Policy, error) {
	p := Policy{StatusRate: defaultStatusRate, ResendAfter: defaultResendAfter}
	deliver, err := OneOf("deliver_on", settings["deliver_on"], "captured", "authorized")
	if err != nil {
		return Policy{}, err
	}
	p.DeliverOnAuthorized = deliver == "authorized"
	if p.CaptureOn, err = OneOf("capture_on", settings["capture_on"], "", "authorized", "delivered"); err != nil {
		return Policy{}, err
	}
	if text := settings["status_rate"]; text != "" {
		if p.StatusRate, err = strconv.Atoi(text); err != nil || p.StatusRate < 1 || p.StatusRate > maxStatusRate {
			return Policy{}, fmt.Errorf("setting status_rate: want a number from 1 to %d", maxStatusRate)
		}
	}
	if text := settings["resend_after"]; text != "" {
		if p.ResendAfter, err = time.ParseDuration(text); err != nil || p.ResendAfter <= 0 {
			return Policy{}, fmt.Errorf("setting resend_after: want a duration like 10m, more than 0")
		}
	}
	return p, nil
}
