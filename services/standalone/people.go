package standalone

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// quiet lets only errors through: the demonstration tells its own story.
const quiet = slog.LevelError

// ForDemo gives the demonstration a data directory of its own, which it may
// empty, and a quiet log.
func ForDemo(cfg Config) Config {
	cfg.DataDir = filepath.Join(cfg.DataDir, "demo")
	cfg.Telemetry.Level = max(cfg.Telemetry.Level, quiet)
	return cfg
}

// Serve runs the six services until ctx is done.
func Serve(ctx context.Context, cfg Config) error {
	s, err := Open(ctx, cfg, Options{})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// RunForPeople stays up, with the sandbox, and says where to click.
func RunForPeople(ctx context.Context, cfg Config, w io.Writer) error {
	cfg.Sandbox = true
	if len(cfg.Notification.AllowCIDRs) == 0 {
		cfg.Notification.AllowCIDRs = []string{"127.0.0.0/8"}
	}
	if len(cfg.ServiceAllow) == 0 {
		cfg.ServiceAllow = []string{"127.0.0.0/8"}
	}
	s, err := Open(ctx, cfg, Options{})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error {
		if _, err := s.SeedSandbox(ctx, s.Seeding()); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		_, err := fmt.Fprintf(w, `
Quittance is up. Click from the shop to the licence:

  shop           %[1]s/shop/
  mails          %[1]s/mails
  sandbox        %[1]s/
  gRPC API       %[2]s   (merchant's key: %[3]s, operator's: %[4]s)
  pay pages      %[5]s
  for operators  %[7]s   (/healthz, /readyz, /metrics)

Data is kept in %[6]s. Stop with Ctrl-C, or kill it: nothing is lost.
`, s.Sandbox.URL(), s.GRPCAddr(), filepath.Join(cfg.DataDir, demoKeyFile), filepath.Join(cfg.DataDir, "operator-key"),
			s.PublicURL(), cfg.DataDir, s.AdminURL())
		return err
	})
	return g.Wait()
}
