package sandbox

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/config"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
)

// Config of a sandbox. Zero values mean what the envDefault tags say, but for the addresses: an empty one is a free port
// on the loopback interface.
type Config struct {
	Addr     string `env:"ADDR" envDefault:"127.0.0.1:8090" doc:"listen address of the pages and APIs"`
	SMTPAddr string `env:"SMTP_ADDR" envDefault:"127.0.0.1:2525" doc:"listen address of the mail sink"`
	// PublicURL "" means http and the address listened on.
	PublicURL string `env:"PUBLIC_URL" doc:"base URL at which browsers reach the sandbox; from the listen address if empty"`
	DataDir   string `env:"DATA_DIR" envDefault:".data/sandbox" doc:"directory of the sandbox's ledgers"`

	OrderTarget string      `env:"ORDER_TARGET" envDefault:"127.0.0.1:9090" doc:"address of the public gRPC API, for the shop"`
	APIKey      seal.Secret `env:"API_KEY" doc:"the shop's API key; can be set later with PUT /control/shop"`
	Currency    string      `env:"CURRENCY" envDefault:"EUR" doc:"currency that the shop prefers"`

	ShopID       string      `env:"SHOP_ID" doc:"shop that is registered with the simulated FlexPay; more with PUT /control/flexpay/shops/{shopID}"`
	SignatureKey seal.Secret `env:"SIGNATURE_KEY" doc:"its signature key"`
	PostbackURL  string      `env:"POSTBACK_URL" doc:"where its postbacks go: the callback URL of the provider account"`

	PostbackTries   int           `env:"POSTBACK_TRIES" envDefault:"3" doc:"tries of a postback before a card sale is given back"`
	PostbackPause   time.Duration `env:"POSTBACK_PAUSE" envDefault:"1s" doc:"pause after the first failed try, doubled after each further one"`
	PostbackTimeout time.Duration `env:"POSTBACK_TIMEOUT" envDefault:"5s" doc:"how long the answer to a postback is waited for"`

	// Dialer reaches OrderTarget in some other way than by TCP; nil: TCP.
	Dialer rpc.Dialer `env:"-"`
	// Logger nil means slog's default; the others nil mean none.
	Logger  *slog.Logger         `env:"-"`
	Tracer  trace.TracerProvider `env:"-"`
	Meter   metric.MeterProvider `env:"-"`
	Metrics http.Handler         `env:"-"`
}

// Validate refuses a shop that is only half named.
func (c Config) Validate() error {
	if (c.ShopID == "") != (c.SignatureKey == "") {
		return config.Violation("SHOP_ID", "must be set together with SIGNATURE_KEY")
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" {
			return config.Violation("PUBLIC_URL", "must be an absolute URL, is %q", c.PublicURL)
		}
	}
	if c.PostbackTries < 0 || c.PostbackPause < 0 || c.PostbackTimeout < 0 {
		return config.Violation("POSTBACK_TRIES", "and the pause and timeout must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	orDefault(&c.Addr, "127.0.0.1:0")
	orDefault(&c.SMTPAddr, "127.0.0.1:0")
	orDefault(&c.DataDir, ".data/sandbox")
	orDefault(&c.OrderTarget, "127.0.0.1:9000")
	orDefault(&c.Currency, "EUR")
	orDefault(&c.PostbackTries, 3)
	orDefault(&c.PostbackPause, time.Second)
	orDefault(&c.PostbackTimeout, 5*time.Second)
	orDefault(&c.Logger, slog.Default())
	if c.Metrics == nil {
		c.Metrics = http.NotFoundHandler()
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
