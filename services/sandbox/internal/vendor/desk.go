package vendor

import (
	"maps"
	"net/http"
	"slices"
	"sync"

	"quittance/services/sandbox/internal/control"
)

// FaultRecord sets the faults of a payment's key, or of all payments if the key is empty; nil takes them back. It is a part of
// the line that a ledger keeps.
type FaultRecord struct {
	Key    string  `json:"key"`
	Faults *Faults `json:"faults"`
	// Chaos, if set, is all that the record is about.
	Chaos *Chaos `json:"chaos,omitempty"`
}

// Desk keeps the faults of payments, by key.
type Desk struct {
	// write makes a record durable.
	write func(FaultRecord) error

	mu     sync.Mutex
	faults map[string]Faults
	chaos  Chaos
	// told counts the questions that a status fault has spoiled; it starts anew with the process.
	told map[string]int
}

// NewDesk returns a desk that keeps what it is told with write.
func NewDesk(write func(FaultRecord) error) *Desk {
	return &Desk{write: write, faults: map[string]Faults{}, told: map[string]int{}}
}

// Replay takes a record that is durable already.
func (d *Desk) Replay(r FaultRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Chaos != nil {
		d.chaos = *r.Chaos
		return
	}
	delete(d.faults, r.Key)
	delete(d.told, r.Key)
	if r.Faults != nil {
		d.faults[r.Key] = *r.Faults
	}
}

// Set replaces the faults of a key; nil takes them back.
func (d *Desk) Set(key string, faults *Faults) error {
	r := FaultRecord{Key: key, Faults: faults}
	if err := d.write(r); err != nil {
		return err
	}
	d.Replay(r)
	return nil
}

// Unleash has faults drawn from now on for payments that have none of their own.
func (d *Desk) Unleash(c Chaos) error {
	r := FaultRecord{Chaos: &c}
	if err := d.write(r); err != nil {
		return err
	}
	d.Replay(r)
	return nil
}

// Choose takes over what the fault menu was changed to. An unchanged menu sets nothing, so that faults of all payments go on
// to be this one's, too.
func (d *Desk) Choose(key string, faults Faults) error {
	if d.Of(key) == faults {
		return nil
	}
	return d.Set(key, &faults)
}

// All gives the faults by key.
func (d *Desk) All() map[string]Faults {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.faults)
}

// Clear takes all faults back.
func (d *Desk) Clear() error {
	for _, key := range slices.Sorted(maps.Keys(d.All())) {
		if err := d.Set(key, nil); err != nil {
			return err
		}
	}
	return d.Unleash(Chaos{})
}

// Of gives a payment's own faults, or those of all payments, or those that are drawn for it.
func (d *Desk) Of(key string) Faults {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of(key)
}

func (d *Desk) of(key string) Faults {
	if faults, ok := d.faults[key]; ok {
		return faults
	}
	if faults, ok := d.faults[""]; ok {
		return faults
	}
	return d.chaos.Draw(key)
}

// Spoil says what is wrong with this one status question, counting it.
func (d *Desk) Spoil(key string) (StatusFault, Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	faults := d.of(key)
	_, own := d.faults[key]
	if _, all := d.faults[""]; all && !own {
		key = ""
	}
	if faults.Status == "" || (faults.StatusTimes > 0 && d.told[key] >= faults.StatusTimes) {
		return "", faults
	}
	d.told[key]++
	return faults.Status, faults
}

// Controls adds the faults' part of a vendor's control API below prefix.
func (d *Desk) Controls(mux *http.ServeMux, prefix string) {
	put := control.Handle(func(r *http.Request) (any, error) {
		faults, err := control.Decode[Faults](r)
		if err != nil {
			return nil, err
		}
		if err := faults.Check(); err != nil {
			return nil, control.Fail(http.StatusBadRequest, err.Error())
		}
		return nil, d.Set(r.PathValue("key"), &faults)
	})
	mux.HandleFunc("GET "+prefix+"/faults", control.Handle(func(*http.Request) (any, error) { return d.All(), nil }))
	mux.HandleFunc("DELETE "+prefix+"/faults", control.Handle(func(*http.Request) (any, error) { return nil, d.Clear() }))
	mux.HandleFunc("PUT "+prefix+"/chaos", control.Handle(func(r *http.Request) (any, error) {
		c, err := control.Decode[Chaos](r)
		if err != nil {
			return nil, err
		}
		if err := c.Check(); err != nil {
			return nil, control.Fail(http.StatusBadRequest, err.Error())
		}
		return nil, d.Unleash(c)
	}))
	mux.HandleFunc("PUT "+prefix+"/faults", put)
	mux.HandleFunc("PUT "+prefix+"/faults/{key}", put)
	mux.HandleFunc("DELETE "+prefix+"/faults/{key}", control.Handle(func(r *http.Request) (any, error) {
		return nil, d.Set(r.PathValue("key"), nil)
	}))
}
