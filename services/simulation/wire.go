package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
)

// callTimeout is that of a caller who sets none.
const callTimeout = 10 * time.Second

// desk holds the gRPC services of one process.
type desk struct {
	methods map[string]method
	streams map[string]stream
}

type method struct {
	impl any
	desc grpc.MethodDesc
}

type stream struct {
	impl any
	desc grpc.StreamDesc
}

var _ grpc.ServiceRegistrar = (*desk)(nil)

func newDesk() *desk { return &desk{methods: map[string]method{}, streams: map[string]stream{}} }

// RegisterService implements grpc.ServiceRegistrar.
func (d *desk) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, m := range desc.Methods {
		d.methods["/"+desc.ServiceName+"/"+m.MethodName] = method{impl, m}
	}
	for _, s := range desc.Streams {
		d.streams["/"+desc.ServiceName+"/"+s.StreamName] = stream{impl, s}
	}
}

// conn reaches a service's present process, without a network. Requests and
// answers are copied, and errors go through their statuses, as over one.
type conn struct {
	to *node
	as rpc.Principal
	// from is the calling process; nil for callers outside.
	from *life
}

var _ grpc.ClientConnInterface = (*conn)(nil)

// Invoke implements grpc.ClientConnInterface.
func (c *conn) Invoke(ctx context.Context, name string, req, reply any, _ ...grpc.CallOption) error {
	return c.call(ctx, name, func(ctx context.Context, d *desk) error {
		m, ok := d.methods[name]
		if !ok {
			return fmt.Errorf("no method %s", name)
		}
		out, err := m.desc.Handler(m.impl, ctx, func(in any) error {
			proto.Merge(in.(proto.Message), req.(proto.Message))
			return nil
		}, nil)
		if err == nil {
			proto.Merge(reply.(proto.Message), out.(proto.Message))
		}
		return err
	})
}

func (c *conn) call(ctx context.Context, name string, handle func(context.Context, *desk) error) error {
	w := c.to.w
	gone := fault.Unavailable("%s is not there", c.to.name)
	if c.from != nil {
		if c.from.dead.Load() {
			return gone
		}
		r := w.ask("call " + c.from.place.name + name)
		pause(between(r, time.Microsecond, time.Millisecond))
		if chance(r, w.storm(WindCalls, c.from.node.name)) {
			w.detail("%s: call of %s fails", c.from.place.name, name)
			w.count("a call between services fails")
			return gone
		}
	}
	l := c.to.process()
	if l == nil {
		return gone
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := handle(rpc.WithPrincipal(ctx, c.as), l.desk)
	if l.dead.Load() {
		return gone
	}
	return fault.FromStatus(fault.ToStatus(err).Err())
}

// NewStream implements grpc.ClientConnInterface for streams of requests: the
// call is made when the last request was sent.
func (c *conn) NewStream(ctx context.Context, _ *grpc.StreamDesc, name string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &clientStream{ctx: ctx, conn: c, name: name}, nil
}

type clientStream struct {
	grpc.ClientStream
	ctx  context.Context
	conn *conn
	name string
	sent []proto.Message
}

func (s *clientStream) SendMsg(m any) error {
	s.sent = append(s.sent, proto.CloneOf(m.(proto.Message)))
	return nil
}

func (s *clientStream) CloseSend() error { return nil }

func (s *clientStream) RecvMsg(m any) error {
	return s.conn.call(s.ctx, s.name, func(ctx context.Context, d *desk) error {
		st, ok := d.streams[s.name]
		if !ok || st.desc.ServerStreams {
			return errors.New("no stream of requests " + strings.TrimPrefix(s.name, "/"))
		}
		return st.desc.Handler(st.impl, &serverStream{ctx: ctx, left: s.sent, reply: m.(proto.Message)})
	})
}

type serverStream struct {
	grpc.ServerStream
	ctx   context.Context
	left  []proto.Message
	reply proto.Message
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) RecvMsg(m any) error {
	if len(s.left) == 0 {
		return io.EOF
	}
	proto.Merge(m.(proto.Message), s.left[0])
	s.left = s.left[1:]
	return nil
}

func (s *serverStream) SendMsg(m any) error {
	proto.Merge(s.reply, m.(proto.Message))
	return nil
}
