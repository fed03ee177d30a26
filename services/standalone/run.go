package standalone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"quittance/pkg/app"
	"quittance/pkg/web"
)

// stopDeadline bounds the orderly stop. Nothing rests on it.
const stopDeadline = 20 * time.Second

// serveWeb builds the HTTP server over the services' routes, and the one for
// operators if it has an address of its own.
func (s *System) serveWeb(mux *http.ServeMux) (err error) {
	options := web.Options{
		Logger: s.telemetry.Logger, Tracer: s.telemetry.Tracer, Meter: s.telemetry.Meter, TrustedProxies: s.cfg.Proxies,
	}
	admin := mux
	if s.adminLis != nil {
		admin = http.NewServeMux()
		web.Liveness(mux, s.readiness)
		options.Handler = admin
		if s.admin, err = web.NewServer(options); err != nil {
			return err
		}
	}
	web.Health(admin, s.readiness, s.telemetry.MetricsHandler())
	options.Handler = mux
	s.web, err = web.NewServer(options)
	return err
}

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
	g.Add("internal gRPC", func(ctx context.Context) error { return s.internal.Serve(ctx, s.internalLis) })
	g.Add("gRPC", func(ctx context.Context) error { return s.public.Serve(ctx, s.publicLis) })
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
