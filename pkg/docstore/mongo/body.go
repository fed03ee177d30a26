package mongo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A body that is a JSON object is stored as a document, for people and their
// tools, if the very same bytes can be made of it again; otherwise, and if some
// server of the wire protocol would refuse it, as binary data.

const (
	// maxDepth is how deep a stored body is; servers allow 100 levels in all.
	maxDepth = 64
	subtype  = 0x00 // binary data of no particular kind
)

var errUnclean = errors.New("not clean")

// encodeBody returns the value to store.
func encodeBody(body []byte) any {
	if raw, ok := documentOf(body); ok {
		return raw
	}
	return bson.Binary{Subtype: subtype, Data: body}
}

func documentOf(body []byte) (bson.Raw, bool) {
	if len(body) < 2 || body[0] != '{' {
		return nil, false
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.UseNumber()
	if _, err := in.Token(); err != nil { // the brace
		return nil, false
	}
	doc, err := readObject(in, 1)
	if err != nil {
		return nil, false
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	raw, err := bson.Marshal(doc)
	if err != nil {
		return nil, false
	}
	again, err := appendObject(make([]byte, 0, len(body)), raw)
	if err != nil || !bytes.Equal(again, body) {
		return nil, false
	}
	return raw, true
}

// readObject reads the rest of an object.
func readObject(in *json.Decoder, depth int) (bson.D, error) {
	doc := bson.D{}
	seen := map[string]bool{}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string) // or the decoder had refused it
		if key == "" || seen[key] || key[0] == '$' || strings.ContainsAny(key, ".\x00") {
			return nil, errUnclean
		}
		seen[key] = true
		value, err := readValue(in, depth, false)
		if err != nil {
			return nil, err
		}
		doc = append(doc, bson.E{Key: key, Value: value})
	}
	_, err := in.Token() // the brace
	return doc, err
}

// readArray reads the rest of an array.
func readArray(in *json.Decoder, depth int) (bson.A, error) {
	array := bson.A{}
	for in.More() {
		value, err := readValue(in, depth, true)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := in.Token() // the bracket
	return array, err
}

func readValue(in *json.Decoder, depth int, inArray bool) (any, error) {
	token, err := in.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		switch {
		case depth >= maxDepth:
			return nil, errUnclean
		case v == '{':
			return readObject(in, depth+1)
		case inArray: // FerretDB keeps no arrays in arrays
			return nil, errUnclean
		}
		return readArray(in, depth+1)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || f == 0 || f == math.Trunc(f) { // an integer, to whom it may concern
			return nil, errUnclean
		}
		return f, nil
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return nil, errUnclean
		}
		return v, nil
	}
	return token, nil // null, true or false
}

// decodeBody returns the body that was stored.
func decodeBody(v bson.RawValue) ([]byte, error) {
	switch v.Type { //nolint:exhaustive // these are the two that encodeBody makes
	case bson.TypeBinary:
		_, data := v.Binary()
		return data, nil
	case bson.TypeEmbeddedDocument:
		doc := v.Document()
		return appendObject(make([]byte, 0, 2*len(doc)), doc)
	}
	return nil, unexpected(v)
}

func appendObject(out []byte, doc bson.Raw) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	out = append(out, '{')
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, e.Key())
		out = append(out, ':')
		if out, err = appendValue(out, e.Value()); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendArray(out []byte, array bson.RawArray) ([]byte, error) {
	values, err := array.Values()
	if err != nil {
		return nil, err
	}
	out = append(out, '[')
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendValue(out, v); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// appendValue writes a value the way json.Marshal does.
func appendValue(out []byte, v bson.RawValue) ([]byte, error) {
	switch v.Type { //nolint:exhaustive // these are the ones that readValue makes, and what a person may write by hand
	case bson.TypeString:
		return appendString(out, v.StringValue()), nil
	case bson.TypeInt64:
		return strconv.AppendInt(out, v.Int64(), 10), nil
	case bson.TypeInt32:
		return strconv.AppendInt(out, int64(v.Int32()), 10), nil
	case bson.TypeDouble:
		text, err := json.Marshal(v.Double())
		return append(out, text...), err
	case bson.TypeBoolean:
		return strconv.AppendBool(out, v.Boolean()), nil
	case bson.TypeNull:
		return append(out, "null"...), nil
	case bson.TypeEmbeddedDocument:
		return appendObject(out, v.Document())
	case bson.TypeArray:
		return appendArray(out, v.Array())
	}
	return nil, unexpected(v)
}

func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // strings always encode
			}
			return append(out, text...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}
