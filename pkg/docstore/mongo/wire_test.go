package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"quittance/pkg/docstore"
	"quittance/pkg/seal"
)

// fakePrimary speaks the wire protocol like the primary of a replica set of
// one, as far as this engine needs it. What it gets right: each statement is
// atomic on its document, many connections work at once, and a retried write
// is answered with what was answered before. What it does not have: a disk,
// plans, other members. What it does not know it refuses.
type fakePrimary struct {
	t        *testing.T
	listener net.Listener
	// mishap decides what goes wrong with a command; nil: nothing.
	mishap func(command bson.Raw) mishap
	// seen is told of every command on documents; nil: nobody.
	seen func(command bson.Raw)

	mu       sync.Mutex
	docs     map[string]map[string]bson.D // by collection and id
	indexes  map[string][]bson.D
	answered map[string]bson.D // by session and number of a retryable write
	conns    map[net.Conn]bool
}

type mishap struct {
	// before and after it is carried out the connection is cut.
	before, after bool
	// concern: the write is done, but its durability is not known.
	concern bool
	// stall leaves the command without an answer until the client hangs up.
	stall bool
}

func newFake(t *testing.T) *fakePrimary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakePrimary{
		t: t, listener: l, docs: map[string]map[string]bson.D{}, indexes: map[string][]bson.D{},
		answered: map[string]bson.D{}, conns: map[net.Conn]bool{},
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			running.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		for c := range f.conns {
			_ = c.Close()
		}
		f.mu.Unlock()
		running.Wait()
	})
	return f
}

func (f *fakePrimary) config() Config {
	return Config{
		URI:      seal.Secret(fmt.Sprintf("mongodb://%s/?replicaSet=rs", f.listener.Addr())),
		Database: "test", Timeout: 5 * time.Second,
	}
}

// open opens an engine on the server until the end of the test.
func (f *fakePrimary) open(t *testing.T, adjust ...func(*Config)) *Engine {
	t.Helper()
	cfg := f.config()
	for _, a := range adjust {
		a(&cfg)
	}
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// openStore opens a collection on an engine of its own.
func (f *fakePrimary) openStore(t *testing.T, adjust ...func(*Config)) docstore.Store {
	t.Helper()
	s, err := f.open(t, adjust...).Open(t.Context(), docstore.StoreSpec{Name: "documents", Indexes: []string{"color", "size"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve answers one connection until it is cut.
func (f *fakePrimary) serve(c net.Conn) {
	defer func() {
		f.mu.Lock()
		delete(f.conns, c)
		f.mu.Unlock()
		_ = c.Close()
	}()
	for {
		request, op, command, err := receive(c)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && errors.Is(err, errWire) {
				f.t.Error(err)
			}
			return
		}
		raw, err := bson.Marshal(command)
		if err != nil {
			f.t.Error(err)
			return
		}
		var m mishap
		if name := command[0].Key; name == "insert" || name == "update" || name == "delete" || name == "find" {
			if f.seen != nil {
				f.seen(raw)
			}
			if f.mishap != nil {
				m = f.mishap(raw)
			}
		}
		if m.before {
			return
		}
		if m.stall {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		answer := f.answer(command, m.concern)
		if m.after {
			return
		}
		if err := reply(c, request, op, answer); err != nil {
			return
		}
	}
}

// opQuery is the kind of the first message of a connection, and of no other.
const opQuery wiremessage.OpCode = 2004

var errWire = errors.New("not understood")

// receive reads one message.
func receive(c net.Conn) (request int32, op wiremessage.OpCode, command bson.D, err error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, 0, nil, err
	}
	message := make([]byte, binary.LittleEndian.Uint32(size[:]))
	copy(message, size[:])
	if _, err := io.ReadFull(c, message[4:]); err != nil {
		return 0, 0, nil, err
	}
	_, request, _, op, rest, _ := wiremessage.ReadHeader(message)
	if op == opQuery { // flags, a name that ends with a zero, two numbers, a document
		name := bytes.IndexByte(rest[4:], 0)
		return request, op, command, bson.Unmarshal(rest[4+name+1+8:], &command)
	}
	_, rest, _ = wiremessage.ReadMsgFlags(rest)
	for len(rest) > 0 {
		kind, after, _ := wiremessage.ReadMsgSectionType(rest)
		switch kind {
		case wiremessage.SingleDocument:
			doc, after, ok := wiremessage.ReadMsgSectionSingleDocument(after)
			if !ok {
				return 0, 0, nil, errWire
			}
			var d bson.D
			if err := bson.Unmarshal(doc, &d); err != nil {
				return 0, 0, nil, err
			}
			command, rest = append(d, command...), after
		case wiremessage.DocumentSequence:
			name, docs, after, ok := wiremessage.ReadMsgSectionDocumentSequence(after)
			if !ok {
				return 0, 0, nil, errWire
			}
			all := bson.A{}
			for _, doc := range docs {
				var d bson.D
				if err := bson.Unmarshal(doc, &d); err != nil {
					return 0, 0, nil, err
				}
				all = append(all, d)
			}
			command, rest = append(command, bson.E{Key: name, Value: all}), after
		default:
			return 0, 0, nil, errWire
		}
	}
	return request, op, command, nil
}

// reply writes the answer to a request.
func reply(c net.Conn, request int32, op wiremessage.OpCode, answer bson.D) error {
	raw, err := bson.Marshal(answer)
	if err != nil {
		return err
	}
	var out []byte
	if op == opQuery {
		_, out = wiremessage.AppendHeaderStart(nil, 0, request, wiremessage.OpReply)
		out = wiremessage.AppendReplyFlags(out, 0)
		out = wiremessage.AppendReplyCursorID(out, 0)
		out = wiremessage.AppendReplyStartingFrom(out, 0)
		out = wiremessage.AppendReplyNumberReturned(out, 1)
	} else {
		_, out = wiremessage.AppendHeaderStart(nil, 0, request, wiremessage.OpMsg)
		out = wiremessage.AppendMsgFlags(out, 0)
		out = wiremessage.AppendMsgSectionType(out, wiremessage.SingleDocument)
	}
	out = append(out, raw...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	_, err = c.Write(out)
	return err
}

// must ends a test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
