// Package program is what the main of a service is made of when the service
// runs in its own process: settings, telemetry, store, bus, listeners, life.
//
// It takes a function that builds the service on its parts and gives a program
// that starts in any order with the others, says at /readyz what it waits for,
// and stops in good order.
package program

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/app"
	"quittance/pkg/bus"
	"quittance/pkg/config"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/mongo"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/telemetry"
)

// EnvPrefix begins the names of all settings.
const EnvPrefix = "QUITTANCE_"

// Config is what every service's process needs to know.
type Config struct {
	// Mongo is the store if its URI is set; else it is a SQLite file in DataDir.
	Mongo        mongo.Config   `envPrefix:"MONGO_"`
	DataDir      string         `env:"DATA_DIR" envDefault:".data" doc:"directory of the service's SQLite file, if MONGO_URI is not set"`
	NATS         string         `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" doc:"servers of the bus, separated by commas"`
	NATSUser     string         `env:"NATS_USER" doc:"user at the bus"`
	NATSPassword seal.Secret    `env:"NATS_PASSWORD" doc:"password at the bus"`
	Replicas     int            `env:"NATS_REPLICAS" envDefault:"1" doc:"replicas of the bus's streams; more than one needs a cluster"`
	GRPCAddr     string         `env:"GRPC_ADDR" envDefault:":9090" doc:"listen address of the public gRPC API"`
	InternalAddr string         `env:"INTERNAL_ADDR" envDefault:":9091" doc:"listen address of the internal gRPC API"`
	HTTPAddr     string         `env:"HTTP_ADDR" envDefault:":8080" doc:"listen address of pages and callbacks, and of health and metrics without an admin address"`
	AdminAddr    string         `env:"ADMIN_ADDR" doc:"listen address of /metrics, /readyz and /healthz, for operators only; the HTTP address if empty, else that has only /healthz"`
	Proxies      []netip.Prefix `env:"TRUSTED_PROXIES" doc:"networks of the reverse proxies in front of the HTTP address, such as 10.0.0.0/8: only they may say who the client is (X-Forwarded-For)"`
	OrderAddr    string         `env:"ORDER_ADDR" envDefault:"127.0.0.1:9091" doc:"internal gRPC address of the order service; several replicas separated by commas, if no name has all of them"`
	InternalTLS  string         `env:"INTERNAL_TLS_DIR" doc:"directory with ca.crt, tls.crt and tls.key: mutual TLS between services, with certificates that are read again when they change; none if empty"`
	Keyring      seal.Secret    `env:"KEYRING,required" doc:"key-encryption keys, kid:base64,…; the same for all services"`
	ServiceToken seal.Secret    `env:"SERVICE_TOKEN,required" doc:"credential between services; the same for all services"`
	OperatorKey  seal.Secret    `env:"OPERATOR_KEY" doc:"the operator's API key; nobody is the operator if empty"`
	ClockOffset  time.Duration  `env:"CLOCK_OFFSET" doc:"added to the machine's time by all logic of this process; for tests of replicas whose clocks disagree"`
	Telemetry    telemetry.Config
}

// Service is a service as its package builds it. One that also has a method
// Ready(ctx) error is ready when that returns nil, and one with
// Routes(*http.ServeMux) has pages.
type Service interface {
	Base() *service.Base
	Register(public, internal grpc.ServiceRegistrar)
	Run(ctx context.Context) error
}

// Parts are what a service is built on.
type Parts struct {
	service.Deps
	// Orders is a connection to the order service's internal listener.
	Orders grpc.ClientConnInterface
	// Dial connects to another service's internal listener; the connection lasts
	// as long as the process.
	Dial func(addr string) (grpc.ClientConnInterface, error)
}

// Build builds a service with its own settings C; the authenticator checks
// merchants' keys for its public listener.
type Build[C any] func(ctx context.Context, p Parts, own C) (Service, rpc.Authenticator, error)

// Main is the whole of a service's func main.
func Main[C any](name string, build Build[C]) {
	app.Main(func(ctx context.Context) error {
		cfg, err := config.Load[struct {
			Common Config
			Own    C
		}](EnvPrefix, nil)
		if err != nil {
			return err
		}
		return run(ctx, name, cfg.Common, func(ctx context.Context, p Parts) (Service, rpc.Authenticator, error) {
			return build(ctx, p, cfg.Own)
		})
	})
}

// process is one running service.
type process struct {
	name      string
	cfg       Config
	telemetry *telemetry.Telemetry
	readiness *app.Readiness
	mux       *http.ServeMux
	engine    docstore.Engine
	keyring   *seal.Keyring
	tls       *rpc.MutualTLS // between services; nil: none
	started   func()         // opens the gate of readiness
	build     func(context.Context, Parts) (Service, rpc.Authenticator, error)
}

// stopDeadline bounds the orderly stop. Nothing rests on it.
const stopDeadline = 25 * time.Second

func run(ctx context.Context, name string, cfg Config, build func(context.Context, Parts) (Service, rpc.Authenticator, error)) error {
	tel, err := telemetry.Setup(ctx, name, cfg.Telemetry)
	if err != nil {
		return err
	}
	p := &process{
		name: name, cfg: cfg, telemetry: tel, readiness: app.NewReadiness(tel.Logger), mux: http.NewServeMux(), build: build,
	}
	p.started = p.readiness.Gate("bus")
	if p.keyring, err = seal.ParseKeyring(cfg.Keyring.Reveal()); err != nil {
		return fmt.Errorf("%sKEYRING: %w", EnvPrefix, err)
	}
	if cfg.InternalTLS != "" {
		if p.tls, err = rpc.LoadMutualTLS(cfg.InternalTLS, tel.Logger); err != nil {
			return fmt.Errorf("%sINTERNAL_TLS_DIR: %w", EnvPrefix, err)
		}
	}
	if err := p.openStore(ctx); err != nil {
		return err
	}
	p.readiness.Check("store", p.engine.Ping)
	g := app.NewGroup(app.Options{Logger: tel.Logger, Readiness: p.readiness, Deadline: stopDeadline})
	g.OnStop("telemetry", tel.Shutdown)
	g.OnStop("store", func(context.Context) error { return p.engine.Close() })
	g.Add(name, p.work)
	if err := p.serveWeb(g); err != nil {
		return err
	}
	return g.Run(ctx)
}

// serveWeb adds the HTTP server, and the one for operators if it has an address
// of its own.
func (p *process) serveWeb(g *app.Group) error {
	pages, admin, err := Web(p.telemetry, p.readiness, p.mux, p.cfg.HTTPAddr, p.cfg.AdminAddr, p.cfg.Proxies)
	if err != nil {
		return err
	}
	if admin != nil {
		g.Add("admin HTTP", admin.Run)
	}
	g.Add("HTTP", pages.Run)
	return nil
}

func (p *process) openStore(ctx context.Context) error {
	if p.cfg.Mongo.URI != "" {
		m := p.cfg.Mongo
		m.Tracer, m.Meter = p.telemetry.Tracer, p.telemetry.Meter
		if m.Database == "" {
			m.Database = "quittance_" + p.name // a database each: nobody reads another's
		}
		engine, err := mongo.Open(ctx, m)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		p.engine = engine
		return nil
	}
	if err := os.MkdirAll(p.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	engine, err := sqlite.Open(ctx, filepath.Join(p.cfg.DataDir, p.name+".db"), sqlite.Options{})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	p.engine = engine
	return nil
}

// work waits for the bus, builds the service and runs it with its listeners.
func (p *process) work(ctx context.Context) error {
	b, err := bus.Connect(ctx, bus.Config{
		URL: p.cfg.NATS, User: p.cfg.NATSUser, Password: p.cfg.NATSPassword, Name: p.name, Replicas: p.cfg.Replicas,
		Options: bus.Options{Log: p.telemetry.Logger, Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter},
	})
	if err != nil {
		return ended(ctx, err)
	}
	if err := b.Ensure(ctx); err != nil {
		return ended(ctx, fmt.Errorf("streams and consumers: %w", err))
	}
	p.readiness.Check("bus", func(context.Context) error { return b.Ready() })
	orders, err := p.dial(p.cfg.OrderAddr)
	if err != nil {
		return err
	}
	conns := []*grpc.ClientConn{orders}
	dial := func(addr string) (grpc.ClientConnInterface, error) {
		conn, err := p.dial(addr)
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
		return conn, nil
	}
	s, auth, err := p.build(ctx, Parts{Orders: orders, Dial: dial, Deps: service.Deps{
		Engine: p.engine, Bus: b, Log: p.telemetry.Logger, Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter,
		Keyring: p.keyring, Now: func() time.Time { return time.Now().Add(p.cfg.ClockOffset) },
	}})
	if err != nil {
		return err
	}
	servers, err := NewServers(p.telemetry, p.readiness, p.mux, Access{
		Merchants: auth, OperatorKey: p.cfg.OperatorKey, ServiceToken: p.cfg.ServiceToken, MutualTLS: p.tls,
	}, s)
	if err != nil {
		return err
	}
	p.started()
	g := app.NewGroup(app.Options{Logger: p.telemetry.Logger, Deadline: stopDeadline})
	g.OnStop("connections", func(context.Context) error {
		errs := []error{b.Close()}
		for _, conn := range conns {
			errs = append(errs, conn.Close())
		}
		return errors.Join(errs...)
	})
	g.Add("service", s.Run)
	g.Add("internal gRPC", func(ctx context.Context) error { return servers.Internal.ListenAndServe(ctx, p.cfg.InternalAddr) })
	g.Add("gRPC", func(ctx context.Context) error { return servers.Public.ListenAndServe(ctx, p.cfg.GRPCAddr) })
	return g.Run(ctx)
}

// dial connects to another service's internal listener.
func (p *process) dial(addr string) (*grpc.ClientConn, error) {
	return rpc.Dial(addr, rpc.DialOptions{
		ServiceToken: p.cfg.ServiceToken, MutualTLS: p.tls, Tracer: p.telemetry.Tracer, Meter: p.telemetry.Meter,
		// An order comes with its whole history, which may be larger than the default.
		MaxRecvBytes: 64 << 20,
	})
}

// ended is nil if err only tells that the program was stopped while it waited.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
