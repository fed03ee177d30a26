package delivery

import (
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
)

// Pauses of the watch over a pool with a low-water mark.
const (
	watchNear = time.Minute
	watchFar  = 10 * time.Minute
)

// noticeAgain is how long a mail to the merchant waits that was not accepted.
// After the end of the table it is given up: the event says the same.
var noticeAgain = backoff.Schedule{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// Pool is the stored document of what holds for a product's licences. It counts
// nothing: orders never write it.
type Pool struct {
	Merchant string `json:"merchant"`
	Product  string `json:"product"`
	// PerLine: one licence for an order's line, whatever its quantity.
	PerLine bool `json:"per_line,omitempty"`
	// LowMark: the merchant is told when there are so many free licences or fewer; 0: never.
	LowMark      int64       `json:"low_mark,omitempty"`
	OnRefund     Disposition `json:"on_refund,omitempty"`
	OnChargeback Disposition `json:"on_chargeback,omitempty"`

	// Low is what was last seen, Free how many free licences there were then, and
	// Crossings how often the pool came down to its mark.
	Low       bool  `json:"low,omitempty"`
	Free      int64 `json:"free,omitempty"`
	Crossings int   `json:"crossings,omitempty"`
	// Look is when to count again.
	Look time.Time `json:"look,omitzero"`
	// NoticeAt is when to mail the merchant, NoticeTries how often that failed.
	NoticeAt    time.Time `json:"notice_at,omitzero"`
	NoticeTries int       `json:"notice_tries,omitempty"`
}

// PoolID is the id of the document of a product's pool.
func PoolID(merchant, product string) string { return id.Derived("pol", merchant, product) }

// PoolDue is when a pool has work to do: to be counted, or its merchant to be
// told.
func PoolDue(p *Pool) time.Time {
	next := p.NoticeAt
	if p.LowMark > 0 && (next.IsZero() || p.Look.Before(next)) {
		next = p.Look
	}
	return next
}

// Enough is how many free licences there must be for the next look to come late.
func (p *Pool) Enough() int64 { return 2*p.LowMark + 100 }

// Counted notes how many licences are free. It reports whether the pool has come
// down to its mark since the last time.
func (p *Pool) Counted(free int64, now time.Time) (crossed bool) {
	low := free <= p.LowMark
	crossed = low && !p.Low
	p.Low, p.Free, p.Look = low, free, now.Add(watchNear)
	if free >= p.Enough() {
		p.Look = now.Add(watchFar)
	}
	if crossed {
		p.Crossings++
		p.NoticeAt, p.NoticeTries = now, 0
	}
	return crossed
}

// Nudge brings the next look forward. It reports whether there is one to bring.
func (p *Pool) Nudge(now time.Time) bool {
	if p.LowMark == 0 || !p.Look.After(now) {
		return false
	}
	p.Look = now
	return true
}

// Noticed notes what became of the mail to the merchant.
func (p *Pool) Noticed(sent bool, now time.Time) {
	if sent || noticeAgain.Exhausted(p.NoticeTries+1) {
		p.NoticeAt, p.NoticeTries = time.Time{}, 0
		return
	}
	p.NoticeTries++
	p.NoticeAt = now.Add(noticeAgain.After(p.NoticeTries))
}

// After says what becomes of the licences of an order whose money was charged
// back or, if not, given back.
func (p *Pool) After(chargedBack bool) Disposition {
	if chargedBack {
		return p.OnChargeback
	}
	return p.OnRefund
}
