package standalone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/app"
)

// stopDeadline bounds the orderly stop. Nothing rests on it.
const stopDeadline = 20 * time.Second

// Run serves and works until ctx is done or a part fails; then everything ends
// in the reverse order, and the stores are closed.
func (s *System) Run(ctx context.Context) error {
	g := app.NewGroup(app.Options{Logger: s.telemetry.Logger, Readiness: s.readiness, Deadline: stopDeadline})
	g.OnStop("stores, bus and telemetry", s.close)
	if s.Sandbox != nil {
		g.Add("sandbox", s.Sandbox.Run)
	}
	for _, r := range s.runs {
		g.Add(r.name, r.run)
	}
	g.Add("internal gRPC", func(ctx context.Context) error { return s.servers.Internal.Serve(ctx, s.internalLis) })
	g.Add("gRPC", func(ctx context.Context) error { return s.servers.Public.Serve(ctx, s.publicLis) })
	if s.admin != nil {
		g.Add("admin HTTP", func(ctx context.Context) error { return s.admin.Serve(ctx, s.adminLis) })
	}
	g.Add("HTTP", func(ctx context.Context) error { return s.web.Serve(ctx, s.httpLis) })
	return g.Run(ctx)
}

// close ends what Open has opened, the bus before its server and the stores
// last.
func (s *System) close(ctx context.Context) error {
	var errs []error
	if s.orders != nil {
		errs = append(errs, s.orders.Close())
	}
	if s.bus != nil {
		errs = append(errs, s.bus.Close())
	}
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	for name, e := range s.engines {
		if err := e.Close(); err != nil {
			errs = append(errs, fmt.Errorf("store of %s: %w", name, err))
		}
	}
	if s.telemetry != nil {
		errs = append(errs, s.telemetry.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
