// Package importer brings licence keys from a file into a pool: the merchant's
// side of ImportLicenses. Its memory does not grow with the file, a run that was
// cut off goes on where it stopped, and repeating one is harmless. What is refused
// is reported line by line, by place, never by the key.
package importer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is how keys stand in a file.
type Format string

// The formats.
const (
	// Lines: a key on each line; blank lines are skipped.
	Lines Format = "lines"
	// CSV: a key in one column of each record (RFC 4180), which may have several
	// lines if it is quoted.
	CSV Format = "csv"
	// Blocks: keys of several lines, with a separator line between them.
	Blocks Format = "blocks"
)

// Layout says where the keys are.
type Layout struct {
	Format Format
	// Column of a CSV file: its number from 1, or its name in the first record.
	Column int
	Header string
	// Separator line of blocks.
	Separator string
}

// entry is a key with the line where it begins, from 1.
type entry struct {
	line int
	key  string
}

// maxKey is how many bytes of a key are read; longer ones are refused anyway.
const maxKey = 1 << 20

// source yields entries until io.EOF.
type source interface {
	next() (entry, error)
}

// open reads a file of a layout.
func open(r io.Reader, l Layout) (source, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if bom, err := in.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	switch l.Format {
	case Lines:
		return &lines{in: in}, nil
	case Blocks:
		if l.Separator == "" {
			return nil, errors.New("blocks need a separator")
		}
		return &blocks{lines: lines{in: in}, separator: l.Separator}, nil
	case CSV:
		return openCSV(in, l)
	}
	return nil, fmt.Errorf("format %q is not one of lines, csv, blocks", l.Format)
}

type lines struct {
	in   *bufio.Reader
	line int
}

// raw reads a line without its end.
func (s *lines) raw() (string, error) {
	var b strings.Builder
	for {
		part, err := s.in.ReadSlice('\n')
		if b.Len() < maxKey {
			b.Write(part)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || b.Len() == 0) {
			return "", err
		}
		s.line++
		return strings.TrimRight(b.String(), "\r\n"), nil
	}
}

func (s *lines) next() (entry, error) {
	for {
		text, err := s.raw()
		if err != nil {
			return entry{}, err
		}
		if strings.TrimSpace(text) != "" {
			return entry{s.line, text}, nil
		}
	}
}

type blocks struct {
	lines
	separator string
	done      bool
}

func (s *blocks) next() (entry, error) {
	var parts []string
	first := 0
	for !s.done {
		text, err := s.raw()
		if errors.Is(err, io.EOF) {
			s.done = true
			break
		}
		if err != nil {
			return entry{}, err
		}
		if text == s.separator {
			if key := strings.Join(parts, "\n"); strings.TrimSpace(key) != "" {
				return entry{first, strings.Trim(key, "\r\n")}, nil
			}
			parts, first = nil, 0
			continue
		}
		if first == 0 {
			first = s.line
		}
		parts = append(parts, text)
	}
	if key := strings.Join(parts, "\n"); strings.TrimSpace(key) != "" {
		return entry{first, strings.Trim(key, "\r\n")}, nil
	}
	return entry{}, io.EOF
}

type table struct {
	in     *csv.Reader
	column int
}

func openCSV(in io.Reader, l Layout) (source, error) {
	s := &table{in: csv.NewReader(in), column: l.Column - 1}
	s.in.FieldsPerRecord = -1
	s.in.ReuseRecord = true
	if l.Header != "" {
		names, err := s.in.Read()
		if err != nil {
			return nil, fmt.Errorf("read the first record: %w", err)
		}
		s.column = -1
		for i, name := range names {
			if name == l.Header {
				s.column = i
			}
		}
	}
	if s.column < 0 {
		return nil, errors.New("there is no such column")
	}
	return s, nil
}

func (s *table) next() (entry, error) {
	for {
		record, err := s.in.Read()
		if err != nil {
			return entry{}, err
		}
		if s.column >= len(record) {
			line, _ := s.in.FieldPos(0)
			return entry{line, ""}, nil // refused as blank
		}
		line, _ := s.in.FieldPos(s.column)
		if key := strings.Clone(record[s.column]); len(record) > 1 || strings.TrimSpace(key) != "" {
			return entry{line, key}, nil
		}
	}
}
