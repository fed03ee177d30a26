package notification

import (
	"errors"
	"net/http"
	"time"

	"quittance/pkg/config"
	"quittance/pkg/egress"
	"quittance/pkg/seal"
)

// minRetention is more than events live on the bus, and more than any re-send
// takes that is not a case for people.
const minRetention = 10 * 24 * time.Hour

// Config is what the service itself needs to know. Zero values are replaced by
// the defaults of the tags.
type Config struct {
	// AllowCIDRs opts addresses in that are not public, for tests and for
	// receivers in the operator's own network; plain http goes to them only.
	AllowCIDRs []string `env:"WEBHOOK_ALLOW_CIDRS" doc:"CIDR blocks that webhooks may go to although they are not public; http:// is accepted for them only"`
	// Proxy makes the connections, told addresses that were checked here.
	Proxy seal.Secret `env:"WEBHOOK_PROXY" doc:"HTTP proxy with CONNECT that webhooks go through, such as http://user:password@proxy:3128"`
	// Timeout bounds one try.
	Timeout time.Duration `env:"WEBHOOK_TIMEOUT" envDefault:"10s" doc:"How long a webhook receiver may take to answer"`
	// Hold is how long the results of an order's webhooks may wait for those of
	// its next event before they are written. A crash meanwhile sends them
	// again; negative: write at once.
	Hold time.Duration `env:"WEBHOOK_HOLD" envDefault:"2s" doc:"How long results of webhooks may wait to be written together; negative: not at all"`
	// Workers is how many orders' webhooks are worked on at once; half of them
	// may be holding.
	Workers int `env:"WEBHOOK_WORKERS" envDefault:"1024" doc:"How many orders' webhooks are worked on at once"`
	// PerEndpoint is how many tries may be under way at one endpoint.
	PerEndpoint int `env:"WEBHOOK_PER_ENDPOINT" envDefault:"64" doc:"How many webhooks may be under way to one endpoint"`
	// Retries are the pauses between tries where an endpoint has none of its own;
	// empty: ten tries in 75 hours.
	Retries []time.Duration `env:"WEBHOOK_RETRIES" doc:"Pauses between the tries of a webhook, each moved by up to a fifth, such as 5s,5m,30m,2h,5h,10h,14h,20h,24h, which is the default"`
	// DisableAfter is after how long of nothing but failures an endpoint is
	// disabled.
	DisableAfter time.Duration `env:"WEBHOOK_DISABLE_AFTER" envDefault:"72h" doc:"After how long of nothing but failures an endpoint is disabled"`
	// Retention is how long webhooks are kept after their order's last event.
	// What comes again later is not recognised, so it must be longer than the bus
	// keeps events.
	Retention time.Duration `env:"WEBHOOK_RETENTION" envDefault:"720h" doc:"How long webhooks are kept, once settled, for ListDeliveries and Replay; at least 240h"`
	// CatchUp is the pause between looks for events that the bus lost.
	CatchUp time.Duration `env:"CATCH_UP" envDefault:"1m" doc:"Pause between looks for events that the bus lost"`
	// Transport makes the calls instead of the one that refuses addresses that
	// are not public: for simulations, where receivers have no address.
	Transport http.RoundTripper `env:"-"`
}

var _ config.Validator = Config{}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if _, err := egress.NewPolicy(c.AllowCIDRs); err != nil {
		errs = append(errs, config.Violation("WEBHOOK_ALLOW_CIDRS", "%v", err))
	}
	if c.Proxy != "" {
		if _, err := (egress.Policy{}).Through(c.Proxy.Reveal()); err != nil {
			errs = append(errs, config.Violation("WEBHOOK_PROXY", "%v", err))
		}
	}
	for name, negative := range map[string]bool{
		"WEBHOOK_TIMEOUT": c.Timeout < 0, "WEBHOOK_WORKERS": c.Workers < 0,
		"WEBHOOK_PER_ENDPOINT": c.PerEndpoint < 0, "CATCH_UP": c.CatchUp < 0, "WEBHOOK_DISABLE_AFTER": c.DisableAfter < 0,
	} {
		if negative {
			errs = append(errs, config.Violation(name, "must not be negative"))
		}
	}
	for _, pause := range c.Retries {
		if pause <= 0 {
			errs = append(errs, config.Violation("WEBHOOK_RETRIES", "must be positive"))
			break
		}
	}
	if c.Retention != 0 && c.Retention < minRetention {
		errs = append(errs, config.Violation("WEBHOOK_RETENTION", "must be at least %s", minRetention))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	set(&c.Timeout, 10*time.Second)
	set(&c.Hold, 2*time.Second)
	set(&c.Workers, 1024)
	set(&c.PerEndpoint, 64)
	set(&c.CatchUp, time.Minute)
	set(&c.DisableAfter, 72*time.Hour)
	set(&c.Retention, 30*24*time.Hour)
	return c
}

func set[T comparable](field *T, fallback T) {
	var zero T
	if *field == zero {
		*field = fallback
	}
}
