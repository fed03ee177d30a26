package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// pool is a delivery service that takes keys, and fails when it is told to.
type pool struct {
	keys  map[string]bool // nil: counted only
	order []string
	calls int
	fail  func(call int) error
	lose  func(call int) bool // the answer is lost
}

type stream struct {
	grpc.ClientStream
	pool *pool
	req  *deliveryv1.ImportLicensesRequest
}

func (p *pool) ImportLicenses(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[deliveryv1.ImportLicensesRequest, deliveryv1.ImportLicensesResponse], error) {
	return &stream{pool: p}, nil
}

func (s *stream) Send(req *deliveryv1.ImportLicensesRequest) error {
	s.req = req
	return nil
}

func (s *stream) CloseAndRecv() (*deliveryv1.ImportLicensesResponse, error) {
	p := s.pool
	p.calls++
	if p.fail != nil {
		if err := p.fail(p.calls); err != nil {
			return nil, err
		}
	}
	out := &deliveryv1.ImportLicensesResponse{}
	for i, key := range s.req.GetKeys() {
		if p.keys != nil && p.keys[key] {
			out.Duplicates++
			out.DuplicatePositions = append(out.DuplicatePositions, int64(i)+1)
			continue
		}
		if p.keys != nil {
			p.keys[key] = true
			p.order = append(p.order, key)
		}
		out.Imported++
	}
	if p.lose != nil && p.lose(p.calls) {
		return nil, fault.FromStatus(status.Error(codes.Unavailable, "gone"))
	}
	return out, nil
}

func TestLayouts(t *testing.T) {
	for name, tt := range map[string]struct {
		layout Layout
		file   string
		want   []string
		report string
		result Result
	}{
		"lines": {
			Layout{Format: Lines}, "\xef\xbb\xbfA\r\n\n  \nB \nA\n" + strings.Repeat("x", 4001) + "\nC", []string{"A", "B ", "C"},
			"line 6: refused, the key must have 1 to 4000 bytes and not be blank\nline 5: refused, the key is in the pool already or earlier in the file\n",
			Result{Imported: 3, Duplicates: 1, Invalid: 1, Entries: 5},
		},
		"csv by name": {
			Layout{Format: CSV, Header: "key"}, "id,key\n1,\"A\nwith two lines\"\n2,B\n3\n4,B\n", []string{"A\nwith two lines", "B"},
			"line 5: refused, the key must have 1 to 4000 bytes and not be blank\nline 6: refused, the key is in the pool already or earlier in the file\n",
			Result{Imported: 2, Duplicates: 1, Invalid: 1, Entries: 4},
		},
		"csv by number": {
			Layout{Format: CSV, Column: 2}, "1,A\n2,B\n", []string{"A", "B"}, "", Result{Imported: 2, Entries: 2},
		},
		"blocks": {
			Layout{Format: Blocks, Separator: "---"}, "---\nA\nA2\n\n---\n---\nB\n--\n---\nC", []string{"A\nA2", "B\n--", "C"}, "", Result{Imported: 3, Entries: 3},
		},
		"nothing": {Layout{Format: Lines}, "", nil, "", Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pool{keys: map[string]bool{}}
			var report bytes.Buffer
			j := Job{Pool: p, Product: "tool", Layout: tt.layout, Report: &report}
			res, err := j.Run(t.Context(), strings.NewReader(tt.file))
			if err != nil || !slices.Equal(p.order, tt.want) || report.String() != tt.report || res != tt.result {
				t.Errorf("%v %q %q %+v", err, p.order, report.String(), res)
			}
		})
	}
	for name, layout := range map[string]Layout{
		"no such column": {Format: CSV, Header: "none"}, "no column": {Format: CSV}, "no format": {Format: "xml"}, "no separator": {Format: Blocks},
	} {
		j := Job{Pool: &pool{}, Layout: layout, Report: io.Discard}
		if _, err := j.Run(t.Context(), strings.NewReader("a,b\n")); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Cut off anywhere, the import goes on, and every key is in the pool once; one
// whose answer was lost is sent again.
func TestGoesOnWhereItStopped(t *testing.T) {
	var file strings.Builder
	for i := range 3500 {
		fmt.Fprintf(&file, "KEY-%05d\n", i)
	}
	for cut := 1; cut <= 4; cut++ {
		synctest.Test(t, func(t *testing.T) { cutOff(t, cut, file.String()) })
	}
}

func cutOff(t *testing.T, cut int, file string) {
	p := &pool{keys: map[string]bool{}, fail: func(call int) error {
		if call == cut {
			return fault.NotFound("cut off")
		}
		return nil
	}, lose: func(call int) bool { return call == cut+1 }}
	progress := filepath.Join(t.TempDir(), "progress")
	j := Job{Pool: p, Product: "tool", Layout: Layout{Format: Lines}, Progress: progress, Report: io.Discard}
	if _, err := j.Run(t.Context(), strings.NewReader(file)); err == nil {
		t.Fatal("not cut off")
	}
	res, err := j.Run(t.Context(), strings.NewReader(file))
	if err != nil || res.Entries != 3500 || len(p.order) != 3500 || res.Imported+res.Duplicates != 3500 {
		t.Errorf("cut %d: %v %+v, %d keys", cut, err, res, len(p.order))
	}
	if _, err := os.Stat(progress); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the progress file is left: %v", err)
	}
}

// keyFile is a file of a million keys that nobody holds in memory.
type keyFile struct{ n, of int }

func (f *keyFile) Read(p []byte) (int, error) {
	if f.n == f.of {
		return 0, io.EOF
	}
	n := copy(p, fmt.Appendf(nil, "KEY-%07d-%07d\n", f.n, f.n*7))
	f.n++
	return n, nil
}

// TestMemoryIsBounded: a million keys take no more memory than ten thousand.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("a million keys take some seconds")
	}
	var peak uint64
	p := &pool{fail: func(call int) error {
		if call%50 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		return nil
	}}
	j := Job{Pool: p, Product: "tool", Layout: Layout{Format: Lines}, Report: io.Discard}
	res, err := j.Run(t.Context(), &keyFile{of: 1_000_000})
	if err != nil || res.Imported != 1_000_000 {
		t.Fatalf("%v %+v", err, res)
	}
	t.Logf("%.1f MB of heap in use at most", float64(peak)/1e6)
	if peak > 64<<20 {
		t.Errorf("%d bytes of heap in use", peak)
	}
}

// FuzzRead: whatever the file is, reading ends, and no key is longer than what is
// read of one.
func FuzzRead(f *testing.F) {
	f.Add([]byte("A\nB\n"), byte(0))
	f.Add([]byte("a,\"b\nc\",d\n"), byte(1))
	f.Add([]byte("A\n---\nB"), byte(2))
	f.Fuzz(func(t *testing.T, file []byte, format byte) {
		layouts := []Layout{{Format: Lines}, {Format: CSV, Column: 1}, {Format: Blocks, Separator: "---"}}
		src, err := open(bytes.NewReader(file), layouts[int(format)%len(layouts)])
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			e, err := src.next()
			if err != nil {
				return
			}
			if n > len(file) || e.line < 1 {
				t.Fatalf("entry %d at line %d of a file of %d bytes", n, e.line, len(file))
			}
		}
	})
}
