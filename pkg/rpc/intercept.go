package rpc

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"quittance/pkg/fault"
)

// unary is the way of every unary call: admit, handle, word the error, log.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	var resp any
	err := s.handle(ctx, info.FullMethod, func(ctx context.Context) error {
		var err error
		resp, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// stream is the way of every streaming call. One that only sends ends when the
// server stops: its caller waits for nothing in particular.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := ss.Context()
	if info.IsServerStream && !info.IsClientStream {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	}
	return s.handle(ctx, info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &serverStream{ServerStream: ss, ctx: ctx})
	})
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *Server) handle(ctx context.Context, method string, next func(context.Context) error) error {
	begun := time.Now()
	c := &call{}
	ctx = context.WithValue(ctx, callKey{}, c)
	err := s.admitted(ctx, c, method, next)
	var stopped *fault.Error
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped) {
		err = stopped
	}
	st := fault.ToStatus(err)
	s.log(ctx, c, method, st.Code(), time.Since(begun), err)
	return st.Err()
}

func (s *Server) admitted(ctx context.Context, c *call, method string, next func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Internal("panic: %v\n%s", p, debug.Stack())
		}
	}()
	c.principal, err = s.access.admit(ctx, method)
	if err != nil {
		return err
	}
	return next(ctx)
}

func (s *Server) log(ctx context.Context, c *call, method string, code codes.Code, took time.Duration, err error) {
	level := slog.LevelInfo
	switch code { //nolint:exhaustive // all others are the caller's affair
	case codes.Internal, codes.Unknown, codes.DataLoss:
		level = slog.LevelError
	case codes.Unavailable, codes.DeadlineExceeded:
		level = slog.LevelWarn
	default:
		if strings.HasPrefix(method, "/grpc.") {
			level = slog.LevelDebug
		}
	}
	attrs := []slog.Attr{
		slog.String("method", strings.TrimPrefix(method, "/")),
		slog.String("code", code.String()),
		slog.Duration("duration", took),
		slog.String("caller", string(c.principal.Role)),
	}
	if c.principal.Merchant != "" {
		attrs = append(attrs, slog.String("merchant", c.principal.Merchant))
	}
	if p, ok := peer.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("peer", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", fault.LogText(err)))
	}
	c.mu.Lock()
	attrs = append(attrs, c.attrs...)
	c.mu.Unlock()
	s.options.Logger.LogAttrs(ctx, level, "rpc", attrs...)
}
