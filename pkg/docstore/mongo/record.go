package mongo

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
	"quittance/pkg/event"
)

// stored is a record as it goes into the database: times that mean nothing are
// left out. Nobody relays a document that has nothing to publish, so there is
// no time for that either.
func stored(rec *docstore.Record) *docstore.Record {
	if rec.Published >= rec.Emitted {
		rec.RelayAt = time.Time{}
	}
	return rec
}

// encode is the whole document of a record.
func encode(rec *docstore.Record) bson.D {
	doc := bson.D{
		{Key: fieldID, Value: rec.ID},
		{Key: fieldTenant, Value: rec.Tenant},
	}
	// Everything is new against a record that has nothing.
	set, _ := changes(&docstore.Record{}, rec)
	return append(doc, set...)
}

// change is the update that makes next of old. What stays is not written
// again; fields of a later version of this program stay.
func change(old, next *docstore.Record) bson.D {
	set, unset := changes(old, next)
	update := bson.D{{Key: "$set", Value: set}}
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return update
}

// changes are the fields to set and to remove to make next of old.
func changes(old, next *docstore.Record) (set, unset bson.D) {
	set = bson.D{
		{Key: fieldVersion, Value: next.Version},
		{Key: fieldEmitted, Value: next.Emitted},
		{Key: fieldPublished, Value: next.Published},
		{Key: fieldLease, Value: next.Lease},
	}
	put := func(key string, same, none bool, value func() any) {
		switch {
		case same:
		case none:
			unset = append(unset, bson.E{Key: key, Value: ""})
		default:
			set = append(set, bson.E{Key: key, Value: value()})
		}
	}
	putTime := func(key string, was, is time.Time) {
		put(key, is.Equal(was), is.IsZero(), func() any { return bson.DateTime(engine.CeilMillis(is)) })
	}
	putTime(fieldRelayAt, old.RelayAt, next.RelayAt)
	putTime(fieldDue, old.Due, next.Due)
	putTime(fieldLeaseUntil, old.LeaseUntil, next.LeaseUntil)
	putTime(fieldClaimAt, engine.Claimable(old), engine.Claimable(next))
	for name, value := range next.Index {
		put(prefixIndex+name, value == old.Index[name], false, func() any { return value })
	}
	for name := range old.Index {
		put(prefixIndex+name, next.Index[name] != "", true, nil)
	}
	put(fieldBody, bytes.Equal(next.Body, old.Body), next.Body == nil,
		func() any { return encodeBody(next.Body) })
	put(fieldOutbox, slices.EqualFunc(next.Outbox, old.Outbox, equalEntry), next.Outbox == nil,
		func() any { return encodeOutbox(next.Outbox) })
	return set, unset
}

// equalEntry compares everything of two entries.
func equalEntry(a, b docstore.Entry) bool {
	x, y := a.Event, b.Event
	same := a.Seq == b.Seq && x.Time.Equal(y.Time) && bytes.Equal(x.Data, y.Data)
	return same && x.ID == y.ID && x.Type == y.Type && x.Source == y.Source &&
		x.Subject == y.Subject && x.Key == y.Key && x.Merchant == y.Merchant &&
		x.TraceParent == y.TraceParent && x.TraceState == y.TraceState && x.Resend == y.Resend
}

// decode reads a document of the database.
func decode(spec docstore.StoreSpec, doc bson.Raw) (*docstore.Record, error) {
	rec := &docstore.Record{}
	elements, err := doc.Elements()
	if err != nil {
		return nil, fmt.Errorf("read a document of %s: %w", spec.Name, err)
	}
	for _, e := range elements {
		if err := field(spec, rec, e.Key(), e.Value()); err != nil {
			return nil, fmt.Errorf("read %s of %s: %s: %w", rec.ID, spec.Name, e.Key(), err)
		}
	}
	return rec, nil
}

func field(spec docstore.StoreSpec, rec *docstore.Record, key string, v bson.RawValue) (err error) {
	switch key {
	case fieldID:
		err = read(v, v.StringValueOK, &rec.ID)
	case fieldTenant:
		err = read(v, v.StringValueOK, &rec.Tenant)
	case fieldVersion:
		err = read(v, v.AsInt64OK, &rec.Version)
	case fieldEmitted:
		err = read(v, v.AsInt64OK, &rec.Emitted)
	case fieldPublished:
		err = read(v, v.AsInt64OK, &rec.Published)
	case fieldLease:
		err = read(v, v.AsInt64OK, &rec.Lease)
	case fieldRelayAt:
		err = readTime(v, &rec.RelayAt)
	case fieldDue:
		err = readTime(v, &rec.Due)
	case fieldLeaseUntil:
		err = readTime(v, &rec.LeaseUntil)
	case fieldBody:
		rec.Body, err = decodeBody(v)
	case fieldOutbox:
		rec.Outbox, err = decodeOutbox(v)
	default:
		name, isIndex := strings.CutPrefix(key, prefixIndex)
		if !isIndex {
			return nil // claim_at, or a later version's
		}
		if _, known := slices.BinarySearch(spec.Indexes, name); !known {
			return nil
		}
		var value string
		err = read(v, v.StringValueOK, &value)
		if rec.Index == nil {
			rec.Index = make(map[string]string, len(spec.Indexes))
		}
		rec.Index[name] = value
	}
	return err
}

func read[T any](v bson.RawValue, get func() (T, bool), to *T) error {
	value, ok := get()
	if !ok {
		return unexpected(v)
	}
	*to = value
	return nil
}

func unexpected(v bson.RawValue) error { return fmt.Errorf("unexpected type %s", v.Type) }

func readTime(v bson.RawValue, to *time.Time) error {
	ms, ok := v.DateTimeOK()
	if !ok {
		return unexpected(v)
	}
	*to = engine.FromMillis(ms)
	return nil
}

// entry is how an event in an outbox is stored. Its time is text, because the
// database's times have milliseconds only.
type entry struct {
	Seq         int64  `bson:"seq"`
	ID          string `bson:"id"`
	Type        string `bson:"type"`
	Source      string `bson:"source"`
	Subject     string `bson:"subject"`
	Key         string `bson:"key"`
	Merchant    string `bson:"merchant,omitempty"`
	Time        string `bson:"time"`
	TraceParent string `bson:"traceparent,omitempty"`
	TraceState  string `bson:"tracestate,omitempty"`
	Data        []byte `bson:"data,omitempty"`
	Resend      int    `bson:"resend,omitempty"`
}

func encodeOutbox(outbox []docstore.Entry) []entry {
	out := make([]entry, 0, len(outbox))
	for _, o := range outbox {
		e := o.Event
		out = append(out, entry{
			Seq: o.Seq, ID: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject, Key: e.Key,
			Merchant: e.Merchant, Time: e.Time.Format(time.RFC3339Nano),
			TraceParent: e.TraceParent, TraceState: e.TraceState, Data: e.Data, Resend: e.Resend,
		})
	}
	return out
}

func decodeOutbox(v bson.RawValue) ([]docstore.Entry, error) {
	var in []entry
	if err := v.Unmarshal(&in); err != nil {
		return nil, err
	}
	out := make([]docstore.Entry, 0, len(in))
	for _, e := range in {
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			return nil, err
		}
		out = append(out, docstore.Entry{Seq: e.Seq, Event: event.Event{
			ID: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject, Key: e.Key,
			Merchant: e.Merchant, Time: at.UTC(),
			TraceParent: e.TraceParent, TraceState: e.TraceState, Data: e.Data, Resend: e.Resend,
		}})
	}
	return out, nil
}
