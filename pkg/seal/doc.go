// Package seal owns secrets at rest and in memory.
//
// It takes a keyring of AES-256-GCM key-encryption keys and gives sealed strings that are safe to store: bound to the
// document they belong to, openable with any key of the ring, due for resealing once another key has become primary.
// It also gives keyed fingerprints, by which a secret can be found without being opened, and Secret, a string that
// hides itself wherever values are printed, logged or marshalled.
//
// Rotating keys: generate a new "kid:key" entry and put it first in the spec; reseal every stored value for which
// NeedsReseal says so; then drop the old entry. The fp entry stays for ever, or every fingerprint changes.
package seal
