package returns

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// maxURL bounds a return URL, in bytes.
const maxURL = 2_000

// Allowed says whether a return URL is absolute http(s), without credentials,
// and below an entry of the list: same scheme and host, and the entry's path as
// a prefix that ends at a path segment. The error says what is wrong with it.
func Allowed(raw string, list []string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("must have at most %d characters", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil || !u.IsAbs() || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Fragment != "" {
		return errors.New("must be an absolute http or https URL without credentials and fragment")
	}
	// Some servers read these as "/" and "/..".
	if strings.Contains(u.Path, `\`) || strings.Contains(u.Path, "/..;") {
		return errors.New("must not have a backslash or ..; in its path")
	}
	for _, entry := range list {
		e, err := url.Parse(entry)
		if err != nil || !strings.EqualFold(e.Scheme, u.Scheme) || !strings.EqualFold(e.Host, u.Host) {
			continue
		}
		// The decoded path, with ".." resolved, can't climb out of its prefix.
		clean, prefix := path.Clean("/"+u.Path), strings.TrimSuffix(e.Path, "/")+"/"
		if strings.HasPrefix(strings.TrimSuffix(clean, "/")+"/", prefix) {
			return nil
		}
	}
	return errors.New("is not on the merchant's allow-list")
}
