// Package ledger owns the sandbox's memory: an append-only file of JSON lines that survives a kill.
//
// It takes entries and gives them back, in order, to whoever opens the file the next time. An entry whose Append has
// returned is on the disk.
package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Ledger is an open file of entries. Use it from one process at a time.
type Ledger[T any] struct {
	mu   sync.Mutex
	file *os.File
	size int64
}

// Open creates the file (and its directory) if need be and hands each entry in it to replay. A last line without an
// end, left by a kill in mid-write, was never acknowledged and is cut off; any other unreadable line is an error.
func Open[T any](path string, replay func(T) error) (*Ledger[T], error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create directory of ledger: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger[T]{file: file}
	if err := l.load(path, replay); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), file.Close())
	}
	return l, nil
}

func (l *Ledger[T]) load(path string, replay func(T) error) error {
	reader := bufio.NewReader(l.file)
	for line := 1; ; line++ {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", line, err)
		}
		var entry T
		if err := json.Unmarshal(text, &entry); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if err := replay(entry); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		l.size += int64(len(text))
	}
	if err := l.file.Truncate(l.size); err != nil {
		return fmt.Errorf("cut off unfinished line: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Append writes an entry and returns when it is on the disk. After an error the entry is not in the ledger.
func (l *Ledger[T]) Append(entry T) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode ledger entry: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.WriteAt(append(text, '\n'), l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write ledger entry: %w", err), l.file.Truncate(l.size))
	}
	l.size += int64(len(text)) + 1
	return nil
}

// Close ends the use of the file. Nothing is held back that it could lose.
func (l *Ledger[T]) Close() error { return l.file.Close() }

// syncDir makes a newly created file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
