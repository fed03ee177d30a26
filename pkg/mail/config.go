package mail

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"quittance/pkg/config"
	"quittance/pkg/seal"
)

// TLSMode says how a connection to the relay is encrypted.
type TLSMode string

// The modes. Neither of the encrypted ones falls back to plain text.
const (
	// TLSStartTLS upgrades a plain connection before anything else is said; a relay that does not offer it is an error.
	TLSStartTLS TLSMode = "starttls"
	// TLSImplicit speaks TLS from the first byte.
	TLSImplicit TLSMode = "implicit"
	// TLSNone does not encrypt. Only for relays on the same host or network; a password is then sent to loopback only.
	TLSNone TLSMode = "none"
)

const defaultTimeout = 30 * time.Second

// Config names the relay and how to speak to it. Only Host is required.
type Config struct {
	Host string `env:"HOST" envDefault:"localhost" doc:"host name or IP address of the SMTP relay"`
	// Port 0 means the usual one of the TLS mode: 587 starttls, 465 implicit, 25 none.
	Port int `env:"PORT" doc:"port of the SMTP relay; 587, 465 or 25 by TLS mode if not set"`
	// TLS "" means starttls.
	TLS      TLSMode     `env:"TLS" envDefault:"starttls" doc:"none, starttls (mandatory) or implicit"`
	Username string      `env:"USERNAME" doc:"account at the relay; no login if empty"`
	Password seal.Secret `env:"PASSWORD" doc:"password of the account"`
	// Timeout bounds one whole Send, connecting included. 0 means 30 s.
	Timeout time.Duration `env:"TIMEOUT" envDefault:"30s" doc:"longest time to hand one message over"`
	// HELO "" means the host name of this machine.
	HELO string `env:"HELO" doc:"name to introduce ourselves by; this machine's host name if empty"`
	// RootCAs is PEM text; "" means the certificate authorities of the system.
	RootCAs string `env:"ROOT_CAS" doc:"PEM certificates of the authorities to trust; the system's if empty"`
}

// Validate returns a config.Violation for every setting that cannot work, joined.
func (c Config) Validate() error {
	var problems []error
	bad := func(variable, format string, args ...any) {
		problems = append(problems, config.Violation(variable, format, args...))
	}
	if c.Host == "" || strings.ContainsAny(c.Host, "/ \t\r\n") {
		bad("HOST", "must be a host name or IP address, is %q", c.Host)
	}
	if c.Port < 0 || c.Port > 65535 {
		bad("PORT", "must be 1 to 65535, is %d", c.Port)
	}
	switch c.TLS {
	case "", TLSStartTLS, TLSImplicit, TLSNone:
	default:
		bad("TLS", "must be none, starttls or implicit, is %q", string(c.TLS))
	}
	if c.Username == "" && c.Password != "" {
		bad("USERNAME", "must be set because PASSWORD is")
	}
	if c.Username != "" && c.TLS == TLSNone && !loopback(c.Host) {
		bad("TLS", "must not be none because USERNAME is set and %s is not this machine: "+
			"the password would travel in the clear", c.Host)
	}
	if c.Timeout < 0 {
		bad("TIMEOUT", "must not be negative, is %s", c.Timeout)
	}
	if strings.ContainsFunc(c.HELO, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("HELO", "must be visible ASCII, is %q", c.HELO)
	}
	if c.RootCAs != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.RootCAs)) {
		bad("ROOT_CAS", "has no certificate in PEM form")
	}
	return errors.Join(problems...)
}

// withDefaults fills in what zero values stand for, as documented on the fields.
func (c Config) withDefaults() Config {
	if c.TLS == "" {
		c.TLS = TLSStartTLS
	}
	if c.Port == 0 {
		switch c.TLS {
		case TLSImplicit:
			c.Port = 465
		case TLSNone:
			c.Port = 25
		case TLSStartTLS:
			c.Port = 587
		}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
