package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/backoff"
	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/delivery"
)

const (
	// batchKeys and batchBytes bound what is sent, and answered for, together.
	batchKeys  = 1000
	batchBytes = 2 << 20
)

// again is how long to wait for a service that can't be reached.
var again = backoff.Schedule{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second}

// Pool takes keys: the delivery service's client.
type Pool interface {
	ImportLicenses(ctx context.Context, opts ...grpc.CallOption) (grpc.ClientStreamingClient[deliveryv1.ImportLicensesRequest, deliveryv1.ImportLicensesResponse], error)
}

// Job is one import.
type Job struct {
	Pool    Pool
	Product string
	Layout  Layout
	// Expires is when the keys are no longer handed out, zero: never.
	Expires time.Time
	// Progress is the path of a file that says how far the import has come; empty:
	// none is kept. It is removed in the end.
	Progress string
	// Report gets a line for each key that was refused, and for each time that the
	// import must wait.
	Report io.Writer
}

// Result counts what became of the keys of this run, and of those that an
// earlier run had dealt with.
type Result struct {
	Imported   int64 `json:"imported"`
	Duplicates int64 `json:"duplicates"`
	Invalid    int64 `json:"invalid"`
	// Entries is how many keys the import has dealt with.
	Entries int64 `json:"entries"`
}

// Run imports a file. An error leaves the progress file behind, and running the
// job again goes on from there.
func (j *Job) Run(ctx context.Context, file io.Reader) (Result, error) {
	var res Result
	if err := j.recall(&res); err != nil {
		return res, err
	}
	src, err := open(file, j.Layout)
	if err != nil {
		return res, err
	}
	for range res.Entries {
		if _, err := src.next(); err != nil {
			return res, fmt.Errorf("go on from key %d of the progress file (is it another file's?): %w", res.Entries, err)
		}
	}
	for done := false; !done; {
		var batch []entry
		var read, size int64
		for len(batch) < batchKeys && size < batchBytes {
			e, err := src.next()
			if errors.Is(err, io.EOF) {
				done = true
				break
			}
			if err != nil {
				return res, fmt.Errorf("read the file: %w", err)
			}
			read++
			if err := delivery.CheckKey(e.key); err != nil {
				res.Invalid++
				fmt.Fprintf(j.Report, "line %d: refused, the key %v\n", e.line, err)
				continue
			}
			size += int64(len(e.key))
			batch = append(batch, e)
		}
		if err := j.send(ctx, batch, &res); err != nil {
			return res, err
		}
		res.Entries += read
		if err := j.keep(&res); err != nil {
			return res, err
		}
	}
	if j.Progress != "" {
		if err := os.Remove(j.Progress); err != nil && !errors.Is(err, os.ErrNotExist) {
			return res, fmt.Errorf("remove the progress file: %w", err)
		}
	}
	return res, nil
}

// send imports a batch, with patience for a service that can't be reached.
func (j *Job) send(ctx context.Context, batch []entry, res *Result) error {
	if len(batch) == 0 {
		return nil
	}
	req := &deliveryv1.ImportLicensesRequest{ProductId: j.Product}
	if !j.Expires.IsZero() {
		req.ExpireTime = timestamppb.New(j.Expires)
	}
	for _, e := range batch {
		req.Keys = append(req.Keys, e.key)
	}
	for tries := 1; ; tries++ {
		out, err := j.call(ctx, req)
		if err == nil {
			res.Imported += out.GetImported()
			res.Duplicates += out.GetDuplicates()
			for _, n := range out.GetDuplicatePositions() {
				fmt.Fprintf(j.Report, "line %d: refused, the key is in the pool already or earlier in the file\n", batch[n-1].line)
			}
			return nil
		}
		if k := fault.KindOf(err); ctx.Err() != nil || k != fault.KindUnavailable && k != fault.KindInternal {
			return fmt.Errorf("import the keys of lines %d to %d: %w", batch[0].line, batch[len(batch)-1].line, err)
		}
		fmt.Fprintf(j.Report, "waiting for the service: %s\n", fault.Public(err))
		pause := time.NewTimer(again.After(tries))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

func (j *Job) call(ctx context.Context, req *deliveryv1.ImportLicensesRequest) (*deliveryv1.ImportLicensesResponse, error) {
	stream, err := j.Pool.ImportLicenses(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) { // the reason comes with the answer
		return nil, err
	}
	return stream.CloseAndRecv()
}

func (j *Job) recall(res *Result) error {
	if j.Progress == "" {
		return nil
	}
	raw, err := os.ReadFile(j.Progress)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, res)
	}
	if err != nil {
		return fmt.Errorf("progress file %s: %w", j.Progress, err)
	}
	return nil
}

// keep writes the progress as a whole or not at all.
func (j *Job) keep(res *Result) error {
	if j.Progress == "" {
		return nil
	}
	raw, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	next := filepath.Join(filepath.Dir(j.Progress), "."+filepath.Base(j.Progress)+".next")
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	if err := os.Rename(next, j.Progress); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	return nil
}
