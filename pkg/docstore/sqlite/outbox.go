package sqlite

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
)

// The outbox column is the JSON of []docstore.Entry. A document is read far
// more often than it announces something, and carries all it ever announced;
// so what did not change is not encoded again, and what json.Marshal wrote is
// read by a scanner that knows its form (20 times faster than json.Unmarshal).

// encodeOutbox returns the JSON of next, given the stored JSON and what it
// holds, and whether that is a change. An empty outbox has no JSON.
func encodeOutbox(raw []byte, stored, next []docstore.Entry) (_ []byte, changed bool, err error) {
	same := 0
	for same < len(stored) && same < len(next) && equalEntry(&stored[same], &next[same]) {
		same++
	}
	if same == len(stored) && same == len(next) {
		return raw, false, nil
	}
	if len(next) == 0 {
		return nil, true, nil
	}
	if same == 0 || same < len(stored) {
		raw, err = json.Marshal(next)
		return raw, true, err
	}
	tail, err := json.Marshal(next[same:])
	if err != nil {
		return nil, true, err
	}
	joined := make([]byte, 0, len(raw)+len(tail))
	joined = append(joined, raw[:len(raw)-1]...)
	joined = append(joined, ',')
	return append(joined, tail[1:]...), true, nil
}

// equalEntry compares everything of two entries.
func equalEntry(a, b *docstore.Entry) bool {
	x, y := &a.Event, &b.Event
	return a.Seq == b.Seq && x.ID == y.ID && x.Type == y.Type && x.Source == y.Source &&
		x.Subject == y.Subject && x.Key == y.Key && x.Merchant == y.Merchant &&
		x.Time.Equal(y.Time) && x.TraceParent == y.TraceParent && x.TraceState == y.TraceState &&
		x.Resend == y.Resend && bytes.Equal(x.Data, y.Data)
}

// decodeOutbox reads the JSON of an outbox.
func decodeOutbox(raw []byte) ([]docstore.Entry, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if entries, ok := scanOutbox(raw); ok {
		return entries, nil
	}
	var entries []docstore.Entry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("decode outbox: %w", err)
	}
	return entries, nil
}

// scanOutbox reads the JSON of an outbox if it has exactly the form that
// json.Marshal gives it.
func scanOutbox(raw []byte) ([]docstore.Entry, bool) {
	s := scanner{rest: raw}
	var entries []docstore.Entry
	s.skip(`[`)
	for {
		var e docstore.Entry
		s.skip(`{"seq":`)
		e.Seq = s.number()
		s.skip(`,"event":{`)
		s.event(&e.Event)
		s.skip(`}`)
		entries = append(entries, e)
		if s.bad || !s.next(`,`) {
			break
		}
	}
	s.skip(`]`)
	return entries, !s.bad && len(s.rest) == 0
}

type scanner struct {
	rest []byte
	bad  bool
}

// event reads the fields of an event up to and including its brace.
func (s *scanner) event(e *event.Event) {
	for !s.bad {
		name := s.bytes()
		s.skip(`:`)
		switch string(name) {
		case "id":
			e.ID = s.text()
		case "type":
			e.Type = s.text()
		case "source":
			e.Source = s.text()
		case "subject":
			e.Subject = s.text()
		case "key":
			e.Key = s.text()
		case "merchant":
			e.Merchant = s.text()
		case "time":
			s.check(e.Time.UnmarshalText(s.bytes()))
			e.Time = e.Time.UTC()
		case "traceparent":
			e.TraceParent = s.text()
		case "tracestate":
			e.TraceState = s.text()
		case "data":
			e.Data = s.data()
		case "resend":
			e.Resend = int(s.number())
		default:
			s.bad = true
		}
		if s.next(`}`) {
			return
		}
		s.skip(`,`)
	}
}

// next takes a token if it is the next one.
func (s *scanner) next(token string) bool {
	if len(s.rest) < len(token) || string(s.rest[:len(token)]) != token {
		return false
	}
	s.rest = s.rest[len(token):]
	return true
}

func (s *scanner) skip(token string) {
	if !s.next(token) {
		s.bad = true
	}
}

func (s *scanner) check(err error) {
	if err != nil {
		s.bad = true
	}
}

// bytes takes a string.
func (s *scanner) bytes() []byte {
	s.skip(`"`)
	end := bytes.IndexByte(s.rest, '"')
	if s.bad || end < 0 {
		s.bad = true
		return nil
	}
	taken := s.rest[:end]
	if bytes.IndexByte(taken, '\\') >= 0 {
		return s.escaped()
	}
	s.rest = s.rest[end+1:]
	return taken
}

// escaped takes the rest of a string with escapes in it.
func (s *scanner) escaped() []byte {
	end := 0
	for end < len(s.rest) && s.rest[end] != '"' {
		if s.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.rest) {
		s.bad = true
		return nil
	}
	var text string
	s.check(json.Unmarshal(slices.Concat([]byte{'"'}, s.rest[:end+1]), &text))
	s.rest = s.rest[end+1:]
	return []byte(text)
}

func (s *scanner) text() string { return string(s.bytes()) }

func (s *scanner) data() []byte {
	if s.next(`null`) {
		return nil
	}
	encoded := s.bytes()
	if len(encoded) == 0 {
		return nil
	}
	data, err := base64.StdEncoding.AppendDecode(nil, encoded)
	s.check(err)
	return data
}

func (s *scanner) number() int64 {
	end := 0
	for end < len(s.rest) && (s.rest[end] == '-' || '0' <= s.rest[end] && s.rest[end] <= '9') {
		end++
	}
	n, err := strconv.ParseInt(string(s.rest[:end]), 10, 64)
	s.check(err)
	s.rest = s.rest[end:]
	return n
}
