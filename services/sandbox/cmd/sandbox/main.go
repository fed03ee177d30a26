// Command sandbox is everything that the system talks to, simulated: payment provider, shop, webhook receiver, mail
// server. It takes its settings from SANDBOX_… variables, see sandbox.Config.
package main

import (
	"context"
	"errors"

	"quittance/pkg/app"
	"quittance/pkg/config"
	"quittance/pkg/telemetry"
	"quittance/services/sandbox"
)

func main() { app.Main(run) }

func run(ctx context.Context) error {
	cfg, err := config.Load[struct {
		Sandbox   sandbox.Config
		Telemetry telemetry.Config
	}]("SANDBOX_", nil)
	if err != nil {
		return err
	}
	tel, err := telemetry.Setup(ctx, "sandbox", cfg.Telemetry)
	if err != nil {
		return err
	}
	c := cfg.Sandbox
	c.Logger, c.Tracer, c.Meter, c.Metrics = tel.Logger, tel.Tracer, tel.Meter, tel.MetricsHandler()
	s, err := sandbox.New(c)
	if err == nil {
		tel.Logger.InfoContext(ctx, "sandbox is up", "url", s.URL(), "smtp", s.SMTPAddr())
		err = s.Run(ctx)
	}
	return errors.Join(err, tel.Shutdown(context.WithoutCancel(ctx)))
}
