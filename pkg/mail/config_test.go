package mail_test

import (
	"strings"
	"testing"
	"time"

	"quittance/pkg/config"
	"quittance/pkg/mail"
)

func TestConfigRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*mail.Config)
		want   string
	}{
		"no host":            {func(c *mail.Config) { c.Host = "" }, "HOST: must be a host name"},
		"URL as host":        {func(c *mail.Config) { c.Host = "smtp://relay" }, "HOST: must be a host name"},
		"negative port":      {func(c *mail.Config) { c.Port = -1 }, "PORT: must be 1 to 65535, is -1"},
		"large port":         {func(c *mail.Config) { c.Port = 65536 }, "PORT: must be 1 to 65535, is 65536"},
		"TLS mode":           {func(c *mail.Config) { c.TLS = "ssl" }, `TLS: must be none, starttls or implicit, is "ssl"`},
		"password only":      {func(c *mail.Config) { c.Password = password }, "USERNAME: must be set"},
		"password in clear":  {func(c *mail.Config) { c.TLS, c.Username = mail.TLSNone, user }, "TLS: must not be none"},
		"negative timeout":   {func(c *mail.Config) { c.Timeout = -time.Second }, "TIMEOUT: must not be negative, is -1s"},
		"HELO with newline":  {func(c *mail.Config) { c.HELO = "a\r\nMAIL" }, "HELO: must be visible ASCII"},
		"no PEM":             {func(c *mail.Config) { c.RootCAs = "nonsense" }, "ROOT_CAS: has no certificate"},
		"two things at once": {func(c *mail.Config) { c.Port, c.TLS = -1, "x" }, "TLS: must be"},
	}
	for name, tt := range tests {
		cfg := mail.Config{Host: "relay.example"}
		tt.change(&cfg)
		_, err := mail.NewSMTP(cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	cfg, err := config.Load[mail.Config]("SMTP_", map[string]string{
		"SMTP_HOST": "relay.example", "SMTP_USERNAME": user, "SMTP_PASSWORD": password,
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.TLS != mail.TLSStartTLS || cfg.Timeout != 30*time.Second || cfg.Password.Reveal() != password {
		t.Errorf("got %+v", cfg)
	}
	if _, err := mail.NewSMTP(cfg); err != nil {
		t.Error(err)
	}
	_, err = config.Load[mail.Config]("SMTP_", map[string]string{"SMTP_HOST": "relay.example", "SMTP_TLS": "ssl"})
	if err == nil || !strings.Contains(err.Error(), "SMTP_TLS: must be none") {
		t.Errorf("err = %v, want the variable's full name", err)
	}
}
