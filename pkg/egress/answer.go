package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Reason words a call that failed, after a timeout if it was that, for whoever
// gave the URL and for the log: without the URL, which may hold a token, and
// without addresses of ours.
func Reason(err error, timeout time.Duration) string {
	var (
		called *url.Error
		lookup *net.DNSError
		op     *net.OpError
	)
	switch {
	case errors.Is(err, ErrRefused):
		return ErrRefused.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within %s", timeout)
	case errors.As(err, &lookup):
		return "look up " + lookup.Name + ": " + lookup.Err
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	case errors.As(err, &called):
		return called.Err.Error()
	}
	return err.Error()
}

// RetryAfter reads the header of that name (RFC 9110, 10.2.3), in seconds or as
// a date; 0 if it says nothing of use.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
