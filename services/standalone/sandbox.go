package standalone

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"quittance/pkg/id"
	"quittance/pkg/mail"
	"quittance/pkg/seal"
	"quittance/services/sandbox"
)

// sandboxShop is the demonstration merchant's website at the simulated provider.
const sandboxShop = "68849"

// openSandbox opens the outside world in this process. The services are told
// of it by configuration only, as of any outside world.
func (s *System) openSandbox() error {
	key, err := secret(s.cfg, "sandbox-signature-key", "", id.Token)
	if err != nil {
		return err
	}
	s.signatureKey = seal.Secret(key)
	s.Sandbox, err = sandbox.New(sandbox.Config{
		Addr: s.cfg.SandboxAddr, SMTPAddr: s.cfg.SandboxSMTP, DataDir: filepath.Join(s.cfg.DataDir, "sandbox"),
		OrderTarget: s.GRPCAddr(), ShopID: sandboxShop, SignatureKey: s.signatureKey,
		PostbackURL: s.cfg.PublicURL + "/callbacks/flexpay/" + DemoAccount, PublicURL: s.cfg.SandboxURL,
		Logger: s.telemetry.Logger, Tracer: s.telemetry.Tracer, Meter: s.telemetry.Meter,
	})
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// sandboxMail is the relay that the sandbox's mail sink is.
func (s *System) sandboxMail() (mail.Config, error) {
	host, port, err := net.SplitHostPort(s.Sandbox.SMTPAddr())
	if err != nil {
		return mail.Config{}, fmt.Errorf("sandbox mail: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return mail.Config{}, fmt.Errorf("sandbox mail: %w", err)
	}
	return mail.Config{Host: host, Port: n, TLS: mail.TLSNone}, nil
}

// Seeding says where the sandbox plays the demonstration merchant's partners.
func (s *System) Seeding() Seeding {
	return Seeding{
		FlexPayURL: s.Sandbox.URL() + "/flexpay", FlexPayShop: sandboxShop, SignatureKey: s.signatureKey.Reveal(), RefundWindow: "1h",
		SandboxURL: s.Sandbox.URL(), CallbackURL: s.cfg.PublicURL,
		WebhookURL: s.Sandbox.URL() + "/webhooks/" + DemoEndpoint, ReturnURL: s.Sandbox.URL() + "/shop",
	}
}
