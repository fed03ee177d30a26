package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"quittance/pkg/web"
	"quittance/services/callback-ingest/internal/callback"
)

// Limits of a callback. They keep documents and events small.
const (
	maxBody        = 64 << 10
	maxQuery       = 16 << 10
	maxHeaders     = 100
	maxHeaderBytes = 16 << 10
)

// credentials are headers that are not kept: they may open a door elsewhere.
var credentials = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Cookie2": true,
}

// unfit is a request that is no callback, with its HTTP status.
type unfit struct {
	status int
	error
}

// read takes a request off the wire.
func read(w http.ResponseWriter, r *http.Request) (callback.Request, error) {
	if r.Method == http.MethodHead { // the mux takes it for a GET
		return callback.Request{}, unfit{http.StatusMethodNotAllowed, errors.New("a callback is a GET or a POST")}
	}
	if len(r.URL.RawQuery) > maxQuery {
		return callback.Request{}, unfit{http.StatusRequestURITooLong, fmt.Errorf("the query has more than %d bytes", maxQuery)}
	}
	header, err := headerOf(r.Header)
	if err != nil {
		return callback.Request{}, unfit{http.StatusRequestHeaderFieldsTooLarge, err}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return callback.Request{}, unfit{http.StatusRequestEntityTooLarge, fmt.Errorf("the body has more than %d bytes", maxBody)}
	case err != nil:
		return callback.Request{}, unfit{http.StatusBadRequest, errors.New("the body ended early")}
	}
	if len(body) == 0 {
		body = nil
	}
	return callback.Request{
		Method: r.Method, Query: printable(r.URL.RawQuery), Header: header, Body: body, Remote: remote(r),
	}, nil
}

func headerOf(h http.Header) (map[string][]string, error) {
	lines, size := 0, 0
	kept := make(map[string][]string, len(h))
	for name, values := range h {
		for _, value := range values {
			lines++
			size += len(name) + len(value)
			if !credentials[name] {
				kept[name] = append(kept[name], strings.ToValidUTF8(value, "\uFFFD"))
			}
		}
	}
	if lines > maxHeaders || size > maxHeaderBytes {
		return nil, fmt.Errorf("more than %d headers or %d bytes of them", maxHeaders, maxHeaderBytes)
	}
	return kept, nil
}

// printable percent-encodes the bytes of a query string that are no printable
// ASCII, which changes nothing of what it says.
func printable(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// values reads the query string as far as it can be read.
func values(query string) url.Values {
	v, err := url.ParseQuery(query)
	if err != nil {
		return v // without the unreadable parts; providers judge what is left
	}
	return v
}

// remote is the provider's IP address, seen past our proxies.
func remote(r *http.Request) string {
	if client := web.ClientIP(r.Context()); client.IsValid() {
		return client.String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
