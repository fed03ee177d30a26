// Package engine owns what every engine of a document store must agree on, so
// that one can stand in for another: which names, records and queries are
// accepted, how a record is kept, how a page continues, how times are rounded.
package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"quittance/pkg/docstore"
)

// ErrClosed answers every call on an engine that was closed.
var ErrClosed = errors.New("document store is closed")

// CheckSpec refuses names an engine could not use, and returns a copy of the
// spec with its indexes sorted and without repeats.
func CheckSpec(spec docstore.StoreSpec) (docstore.StoreSpec, error) {
	if err := checkName("collection", spec.Name); err != nil {
		return spec, err
	}
	for _, name := range spec.Indexes {
		if err := checkName("index", name); err != nil {
			return spec, fmt.Errorf("collection %s: %w", spec.Name, err)
		}
	}
	spec.Indexes = slices.Compact(slices.Sorted(slices.Values(spec.Indexes)))
	return spec, nil
}

// Key tells specs apart that CheckSpec returned.
func Key(spec docstore.StoreSpec) string {
	return spec.Name + " " + strings.Join(spec.Indexes, " ")
}

func checkName(kind, name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}
	if name == "" || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%s name %q is not lower case letters, digits and underscores", kind, name)
	}
	return nil
}

// Prepare checks a record that is about to be stored and returns a copy in the
// one form in which it is read again: times in UTC and whole milliseconds,
// nothing empty kept.
func Prepare(spec docstore.StoreSpec, given *docstore.Record) (*docstore.Record, error) {
	if given.ID == "" {
		return nil, fmt.Errorf("document of %s has no id", spec.Name)
	}
	if err := checkText("id", given.ID); err != nil {
		return nil, err
	}
	if err := checkText("tenant", given.Tenant); err != nil {
		return nil, err
	}
	for name, value := range given.Index {
		if _, declared := slices.BinarySearch(spec.Indexes, name); !declared {
			return nil, fmt.Errorf("index %q of %s is not declared", name, spec.Name)
		}
		if err := checkText("index "+name, value); err != nil {
			return nil, err
		}
	}
	rec := Clone(given)
	maps.DeleteFunc(rec.Index, func(_, value string) bool { return value == "" })
	if len(rec.Index) == 0 {
		rec.Index = nil
	}
	if len(rec.Body) == 0 {
		rec.Body = nil
	}
	if len(rec.Outbox) == 0 {
		rec.Outbox = nil
	}
	for i := range rec.Outbox {
		e := &rec.Outbox[i].Event
		e.Time = e.Time.Round(0).UTC()
		if len(e.Data) == 0 {
			e.Data = nil
		}
	}
	rec.Due, rec.LeaseUntil, rec.RelayAt = Ceil(rec.Due), Ceil(rec.LeaseUntil), Ceil(rec.RelayAt)
	return rec, nil
}

// checkText refuses what some database could not keep or compare as text.
func checkText(kind, s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%s %q is not text", kind, s)
	}
	return nil
}

// Clone copies a record and everything it points to.
func Clone(rec *docstore.Record) *docstore.Record {
	out := *rec
	out.Body = bytes.Clone(rec.Body)
	out.Index = maps.Clone(rec.Index)
	if rec.Outbox == nil {
		return &out
	}
	size := 0
	for _, e := range rec.Outbox {
		size += len(e.Event.Data)
	}
	data := make([]byte, 0, size)
	out.Outbox = slices.Clone(rec.Outbox)
	for i := range out.Outbox {
		e := &out.Outbox[i].Event
		if e.Data == nil {
			continue
		}
		from := len(data)
		data = append(data, e.Data...)
		e.Data = data[from:len(data):len(data)]
	}
	return &out
}

// Change runs change on a copy of the stored record and returns the record to
// store instead of it. An error of change comes back as it is; a panic comes
// back as an error, because the caller may be the writer everybody waits for.
func Change(spec docstore.StoreSpec, stored *docstore.Record, change func(*docstore.Record) error) (*docstore.Record, error) {
	next := Clone(stored)
	if err := guarded(change, next); err != nil {
		return nil, err
	}
	next.ID, next.Tenant, next.Version = stored.ID, stored.Tenant, stored.Version+1
	return Prepare(spec, next)
}

// Publish returns rec with its emissions up to n marked as published, or rec
// itself if that changes nothing.
func Publish(rec *docstore.Record, n int64) *docstore.Record {
	published := max(rec.Published, min(n, rec.Emitted))
	latest := published >= rec.Emitted && !rec.RelayAt.IsZero()
	if published == rec.Published && !latest {
		return rec
	}
	out := *rec
	out.Published = published
	if latest {
		out.RelayAt = zero
	}
	return &out
}
