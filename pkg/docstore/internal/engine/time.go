package engine

import (
	"time"

	"quittance/pkg/docstore"
)

var zero time.Time

// Ceil rounds up to whole milliseconds, so that nothing is due before its time.
func Ceil(t time.Time) time.Time {
	if t.IsZero() {
		return zero
	}
	return FromMillis(CeilMillis(t))
}

// CeilMillis is t in milliseconds since 1970, rounded up.
func CeilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}

// Millis is t in milliseconds since 1970, rounded down: what is stored as at
// most that is not after t.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// FromMillis is the time of that many milliseconds since 1970.
func FromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Claimable is from when on a document can be claimed: when it is due and its
// lease has ended. It is zero if the document is never due.
func Claimable(rec *docstore.Record) time.Time {
	if rec.Due.IsZero() || rec.LeaseUntil.Before(rec.Due) {
		return rec.Due
	}
	return rec.LeaseUntil
}
