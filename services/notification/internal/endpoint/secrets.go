package endpoint

import "time"

// maxOlder is how many older secrets sign at most; more signatures would make
// the header too long for some receivers.
const maxOlder = 3

// Older is a secret that was replaced and signs until a time.
type Older struct {
	Secret string    `json:"secret"`
	Until  time.Time `json:"until"`
}

// Rotate replaces the secret. Older ones end at the time given, or earlier.
func (e *Endpoint) Rotate(secret string, until, now time.Time) {
	older := []Older{{Secret: e.Secret, Until: until}}
	for _, o := range e.Older {
		if o.Until.After(until) {
			o.Until = until
		}
		older = append(older, o)
	}
	e.Secret, e.Older = secret, nil
	for _, o := range older {
		if o.Until.After(now) && len(e.Older) < maxOlder {
			e.Older = append(e.Older, o)
		}
	}
}

// Secrets lists the sealed secrets that sign at a time, the newest first.
func (e *Endpoint) Secrets(now time.Time) []string {
	all := []string{e.Secret}
	for _, o := range e.Older {
		if o.Until.After(now) {
			all = append(all, o.Secret)
		}
	}
	return all
}

// RotationEnd is when the last of the older secrets ends, zero if there is none
// at that time.
func (e *Endpoint) RotationEnd(now time.Time) time.Time {
	var end time.Time
	for _, o := range e.Older {
		if o.Until.After(now) && o.Until.After(end) {
			end = o.Until
		}
	}
	return end
}
