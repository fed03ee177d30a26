package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"google.golang.org/grpc"

	"quittance/pkg/app"
	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/mail"
	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/telemetry"
	"quittance/pkg/web"
	callbackingest "quittance/services/callback-ingest"
	"quittance/services/delivery"
	"quittance/services/notification"
	"quittance/services/order"
	paymentredirect "quittance/services/payment-redirect"
	"quittance/services/sandbox"
	"quittance/services/verification"
)

// System is all services in this process.
type System struct {
	cfg       Config
	telemetry *telemetry.Telemetry
	readiness *app.Readiness
	secrets   secrets
	nats      *server.Server
	bus       *bus.Bus
	engines   map[string]docstore.Engine

	servers     *program.Servers
	publicLis   net.Listener
	internalLis net.Listener
	orders      *grpc.ClientConn // to the internal listener
	web         *web.Server
	httpLis     net.Listener
	admin       *web.Server // nil: its pages are on web
	adminLis    net.Listener
	runs        []named
	// Sandbox is nil unless it runs in this process.
	Sandbox      *sandbox.Sandbox
	signatureKey seal.Secret // of the sandbox's provider account
}

type named struct {
	name string
	run  func(context.Context) error
}

// Options are for tests: they see or change what configuration can't.
type Options struct {
	// Engine wraps the engine of a service.
	Engine func(service string, e docstore.Engine) docstore.Engine
	// Bus wraps the bus.
	Bus func(service.Bus) service.Bus
	// Now replaces the clock.
	Now func() time.Time
}

// Open starts what the services stand on and wires them. Nothing works until
// Run; after an error everything is closed again.
func Open(ctx context.Context, cfg Config, opt Options) (_ *System, err error) {
	s := &System{cfg: cfg, engines: map[string]docstore.Engine{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if s.telemetry, err = telemetry.Setup(ctx, "quittance", cfg.Telemetry); err != nil {
		return nil, err
	}
	s.readiness = app.NewReadiness(s.telemetry.Logger)
	if s.secrets, err = loadSecrets(cfg); err != nil {
		return nil, err
	}
	if s.nats, err = StartNATS(cfg.DataDir); err != nil {
		return nil, err
	}
	s.bus, err = as(ctx, "NATS client", func(ctx context.Context) (*bus.Bus, error) {
		return bus.Connect(ctx, bus.Config{
			InProcess: s.nats, Name: "standalone",
			Options: bus.Options{Log: s.telemetry.Logger, Tracer: s.telemetry.Tracer, Meter: s.telemetry.Meter},
		})
	})
	if err != nil {
		return nil, err
	}
	if err := s.bus.Ensure(ctx); err != nil {
		return nil, fmt.Errorf("streams and consumers: %w", err)
	}
	s.readiness.Check("bus", func(context.Context) error { return s.bus.Ready() })
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if cfg.Sandbox {
		if err := s.openSandbox(); err != nil {
			return nil, err
		}
	}
	return s, s.wire(ctx, opt)
}

// as opens a part whose goroutines have its name in profiles, as components have
// theirs.
func as[T any](ctx context.Context, name string, open func(context.Context) (T, error)) (part T, err error) {
	pprof.Do(ctx, pprof.Labels(app.ComponentLabel, name), func(ctx context.Context) { part, err = open(ctx) })
	return part, err
}

// listen opens the listeners first, so that the addresses in links are known.
func (s *System) listen(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if s.publicLis, err = lc.Listen(ctx, "tcp", s.cfg.GRPCAddr); err != nil {
		return fmt.Errorf("listen for gRPC (%sGRPC_ADDR): %w", EnvPrefix, err)
	}
	if s.httpLis, err = lc.Listen(ctx, "tcp", s.cfg.HTTPAddr); err != nil {
		return fmt.Errorf("listen for HTTP (%sHTTP_ADDR): %w", EnvPrefix, err)
	}
	if s.cfg.AdminAddr != "" {
		if s.adminLis, err = lc.Listen(ctx, "tcp", s.cfg.AdminAddr); err != nil {
			return fmt.Errorf("listen for admin HTTP: %w", err)
		}
	}
	if s.cfg.PublicURL == "" {
		s.cfg.PublicURL = "http://" + s.httpLis.Addr().String()
	}
	lis, dial := rpc.InProcess()
	s.internalLis = lis
	s.orders, err = rpc.Dial("order", rpc.DialOptions{
		ServiceToken: s.secrets.service, Dialer: dial, Tracer: s.telemetry.Tracer, Meter: s.telemetry.Meter,
		// An order comes with its whole history, which may be larger than the default.
		MaxRecvBytes: 64 << 20,
	})
	return err
}

// deps opens a service's own store and gives what the service stands on.
func (s *System) deps(ctx context.Context, name string, opt Options) (service.Deps, error) {
	engine, err := as(ctx, "store of "+name, func(ctx context.Context) (docstore.Engine, error) {
		return sqlite.Open(ctx, filepath.Join(s.cfg.DataDir, name+".db"), sqlite.Options{})
	})
	if err != nil {
		return service.Deps{}, fmt.Errorf("store of %s: %w", name, err)
	}
	s.engines[name] = engine
	if name != callbackingest.Name { // callbacks are taken with their store down (P2)
		s.readiness.Check("store "+name, engine.Ping)
	}
	if opt.Engine != nil {
		engine = opt.Engine(name, engine)
	}
	d := service.Deps{
		Engine: engine, Bus: s.bus, Log: s.telemetry.Logger, Tracer: s.telemetry.Tracer, Meter: s.telemetry.Meter,
		Keyring: s.secrets.keyring, Now: opt.Now,
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if opt.Bus != nil {
		d.Bus = opt.Bus(s.bus)
	}
	return d, nil
}

// wire builds the six services and registers their edges.
func (s *System) wire(ctx context.Context, opt Options) error {
	deps := map[string]service.Deps{}
	for _, name := range []string{order.Name, paymentredirect.Name, callbackingest.Name, verification.Name, delivery.Name, notification.Name} {
		d, err := s.deps(ctx, name, opt)
		if err != nil {
			return err
		}
		deps[name] = d
	}
	smtp := s.cfg.SMTP
	if s.Sandbox != nil {
		var err error
		if smtp, err = s.sandboxMail(); err != nil {
			return err
		}
	}
	mailer, err := mail.NewSMTP(smtp)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	o, err := order.New(ctx, deps[order.Name], order.Config{PublicURL: s.cfg.PublicURL, AccountsDir: s.cfg.AccountsDir})
	if err != nil {
		return err
	}
	pay, err := paymentredirect.New(ctx, deps[paymentredirect.Name], paymentredirect.Config{
		PublicURL: s.cfg.PublicURL, CallbackURL: s.cfg.PublicURL, ReturnWait: s.cfg.ReturnWait, AccessFor: s.cfg.AccessFor,
	}, s.orders)
	if err != nil {
		return err
	}
	pay.AskDelivery(s.orders) // the same internal listener
	callbacks, err := callbackingest.New(ctx, deps[callbackingest.Name], callbackingest.Config{
		Keep: s.cfg.CallbackKeep, PerSecond: s.cfg.CallbacksPerSecond,
	}, s.orders)
	if err != nil {
		return err
	}
	verify, err := verification.New(ctx, deps[verification.Name], s.orders, &http.Client{})
	if err != nil {
		return err
	}
	deliver, err := delivery.New(ctx, deps[delivery.Name], delivery.Config{AllowCIDRs: s.cfg.ServiceAllow, Reconcile: s.cfg.DeliveryReconcile}, s.orders, mailer)
	if err != nil {
		return err
	}
	notify, err := notification.New(ctx, deps[notification.Name], s.cfg.Notification, s.orders, mailer)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	// The order service, which owns the keys, checks them for all services.
	s.servers, err = program.NewServers(s.telemetry, s.readiness, mux, program.Access{
		Merchants: o.Reference, OperatorKey: s.secrets.operatorKey, ServiceToken: s.secrets.service,
	}, o, pay, callbacks, verify, deliver, notify)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		name string
		run  func(context.Context) error
	}{
		{order.Name, o.Run}, {verification.Name, verify.Run}, {delivery.Name, deliver.Run}, {notification.Name, notify.Run},
		{paymentredirect.Name, pay.Run}, {callbackingest.Name, callbacks.Run},
	} {
		s.runs = append(s.runs, named{x.name, x.run})
	}
	s.web, s.admin, err = program.Web(s.telemetry, s.readiness, mux, "", s.cfg.AdminAddr, s.cfg.Proxies)
	return err
}

// OperatorKey opens the operator's methods.
func (s *System) OperatorKey() seal.Secret { return s.secrets.operatorKey }

// GRPCAddr is where the public gRPC API listens.
func (s *System) GRPCAddr() string { return s.publicLis.Addr().String() }

// AdminURL is where metrics and readiness are.
func (s *System) AdminURL() string {
	if s.adminLis != nil {
		return "http://" + s.adminLis.Addr().String()
	}
	return "http://" + s.httpLis.Addr().String()
}

// PublicURL is where customers and providers reach the HTTP edge.
func (s *System) PublicURL() string { return s.cfg.PublicURL }
