package vendor

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
)

// Chaos has faults drawn for payments that have none of their own: for Percent of them, each time the same for the same seed
// and payment.
type Chaos struct {
	Seed    uint64 `json:"seed"`
	Percent int    `json:"percent"`
}

// Check says what can't be done.
func (c Chaos) Check() error {
	if c.Percent < 0 || c.Percent > 100 {
		return errors.New("percent: must be 0 to 100")
	}
	return nil
}

// Draw gives the faults of a payment's key; the zero value for those that are spared. Every payment with drawn faults comes to
// an end within a minute, unless what is wrong with it is for the shop to see.
func (c Chaos) Draw(key string) Faults {
	hash := fnv.New64a()
	_, _ = hash.Write(binary.BigEndian.AppendUint64(nil, c.Seed)) // never errs
	_, _ = hash.Write([]byte(key))
	dice := rand.New(rand.NewPCG(c.Seed, hash.Sum64()))
	if dice.IntN(100) >= c.Percent {
		return Faults{}
	}
	var f Faults
	for range 1 + dice.IntN(2) {
		draws[dice.IntN(len(draws))](&f, dice)
	}
	return f
}

// draws are what can go wrong, all equally likely.
var draws = []func(*Faults, *rand.Rand){
	func(f *Faults, _ *rand.Rand) { f.DropPostback = true },
	func(f *Faults, _ *rand.Rand) { f.LoseAnswer = true },
	func(f *Faults, _ *rand.Rand) { f.SkipRedirect = true },
	func(f *Faults, d *rand.Rand) { f.DelayMillis = 100 + d.IntN(3000) },
	func(f *Faults, d *rand.Rand) { f.Copies = 2 + d.IntN(20) },
	func(f *Faults, d *rand.Rand) { f.Forged = 1 + d.IntN(5) },
	func(f *Faults, d *rand.Rand) { f.Freeze, f.FreezeMillis = FreezeAccept, 100+d.IntN(3000) },
	func(f *Faults, d *rand.Rand) { f.Freeze, f.FreezeMillis = FreezeReject, 100+d.IntN(3000) },
	func(f *Faults, d *rand.Rand) {
		f.Reorder, f.Freeze, f.FreezeMillis = true, FreezeAccept, 100+d.IntN(1000)
	},
	func(f *Faults, d *rand.Rand) { f.RefundMillis = 2000 + d.IntN(4000) },
	func(f *Faults, d *rand.Rand) {
		// What is wrong for a while only.
		passing := []StatusFault{StatusDown, StatusSlow, StatusError, StatusPending, StatusNotFound, StatusGarbage}
		f.Status, f.StatusTimes, f.StatusMillis = passing[d.IntN(len(passing))], 1+d.IntN(4), 50+d.IntN(1500)
	},
	func(f *Faults, d *rand.Rand) { f.Status = []StatusFault{StatusAmount, StatusCurrency}[d.IntN(2)] },
}
