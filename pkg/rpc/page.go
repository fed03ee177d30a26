package rpc

import "quittance/pkg/fault"

// Sizes of a page: what a request without a size gets, and the most it can ask.
const (
	DefaultPageSize = 50
	MaxPageSize     = 200
)

// PageSize returns how many items a request wants, DefaultPageSize for 0, or a
// fault that names page_size.
func PageSize(n int32) (int, error) {
	if n == 0 {
		return DefaultPageSize, nil
	}
	if n < 0 || n > MaxPageSize {
		return 0, fault.Invalid("page_size", "must be between 1 and %d, or 0 for %d", MaxPageSize, DefaultPageSize)
	}
	return int(n), nil
}
