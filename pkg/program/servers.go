package program

import (
	"context"
	"net/http"
	"net/netip"

	"quittance/pkg/app"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/telemetry"
	"quittance/pkg/web"
	operationsv1 "quittance/proto/gen/go/quittance/operations/v1"
)

// Servers are the gRPC servers of a process with one service or several.
type Servers struct {
	Public, Internal *rpc.Server
}

// Access is who may call the servers.
type Access struct {
	// Merchants checks API keys.
	Merchants   rpc.Authenticator
	OperatorKey seal.Secret
	// ServiceToken and MutualTLS are for internal calls; the latter may be nil.
	ServiceToken seal.Secret
	MutualTLS    *rpc.MutualTLS
}

// NewServers builds the servers of the services, with the operator's API over
// them, adds their pages to mux, and lets the process be ready when they are.
func NewServers(t *telemetry.Telemetry, readiness *app.Readiness, mux *http.ServeMux, access Access, services ...Service) (*Servers, error) {
	common := rpc.ServerOptions{Logger: t.Logger, Tracer: t.Tracer, Meter: t.Meter}
	public, internal := common, common
	public.Listener, public.Authenticator, public.OperatorKey = rpc.Public, access.Merchants, access.OperatorKey
	internal.Listener, internal.ServiceToken, internal.MutualTLS = rpc.Internal, access.ServiceToken, access.MutualTLS
	s := &Servers{}
	var err error
	if s.Public, err = rpc.NewServer(public); err != nil {
		return nil, err
	}
	if s.Internal, err = rpc.NewServer(internal); err != nil {
		return nil, err
	}
	bases := make([]*service.Base, 0, len(services))
	for _, x := range services {
		x.Register(s.Public.Registrar(), s.Internal.Registrar())
		if r, ok := x.(interface{ Routes(mux *http.ServeMux) }); ok {
			r.Routes(mux)
		}
		if r, ok := x.(interface {
			Ready(ctx context.Context) error
		}); ok {
			readiness.Check(x.Base().Name, r.Ready)
		}
		bases = append(bases, x.Base())
	}
	operationsv1.RegisterParkedEventServiceServer(s.Public.Registrar(), service.NewOperations(bases...))
	return s, nil
}

// Web builds the HTTP server over mux, with health and metrics; these are on a
// server of their own if adminAddr is not empty, which is nil otherwise. The
// proxies are the networks of those that may say who a client is.
func Web(t *telemetry.Telemetry, readiness *app.Readiness, mux *http.ServeMux, addr, adminAddr string, proxies []netip.Prefix) (pages, admin *web.Server, err error) {
	options := web.Options{Logger: t.Logger, Tracer: t.Tracer, Meter: t.Meter, TrustedProxies: proxies}
	health := mux
	if adminAddr != "" {
		health = http.NewServeMux()
		web.Liveness(mux, readiness)
		options.Addr, options.Handler = adminAddr, health
		if admin, err = web.NewServer(options); err != nil {
			return nil, nil, err
		}
	}
	web.Health(health, readiness, t.MetricsHandler())
	options.Addr, options.Handler = addr, mux
	pages, err = web.NewServer(options)
	return pages, admin, err
}
