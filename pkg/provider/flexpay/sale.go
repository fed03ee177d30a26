package flexpay

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxIndicators bounds the structure of an answer. The parser takes many seconds for 64 KiB of nothing but brackets or
// line ends; a sale's status has a few dozen of these bytes.
const maxIndicators = 2048

var errNotSale = errors.New("answer is not a sale's status")

// parseSale reads the answer's top level: one YAML mapping whose scalars are taken as they are written, so that 9.90
// stays 9.90 and 0123 stays 0123. Nested values are left out; anchors, aliases, tags, merge keys and a second document
// are refused. Errors quote nothing of the answer, which holds the buyer's name and address.
func parseSale(text []byte) (sale map[string]string, err error) {
	if len(text) > maxAnswer || indicators(text) > maxIndicators {
		return nil, fmt.Errorf("%w: too long or too complex", errNotSale)
	}
	defer func() {
		if recover() != nil { // a parser's bug must not let an answer end the process
			sale, err = nil, fmt.Errorf("%w: unreadable", errNotSale)
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: not YAML", errNotSale)
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("%w: %d documents", errNotSale, len(file.Docs))
	}
	var pairs []*ast.MappingValueNode
	switch body := file.Docs[0].Body.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	default:
		return nil, fmt.Errorf("%w: no mapping", errNotSale)
	}
	sale = make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return nil, fmt.Errorf("%w: a name is not plain text", errNotSale)
		}
		value, scalar, err := scalarOf(pair.Value)
		if err != nil {
			return nil, err
		}
		if _, repeated := sale[name.Value]; repeated {
			return nil, fmt.Errorf("%w: a name is repeated", errNotSale)
		}
		if scalar {
			sale[name.Value] = value
		}
	}
	if sale["response"] == "" {
		return nil, fmt.Errorf("%w: it has no response field", errNotSale)
	}
	return sale, nil
}

// scalarOf gives a scalar's text; null is empty.
func scalarOf(node ast.Node) (text string, scalar bool, err error) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true, nil
	case *ast.LiteralNode:
		return node.Value.Value, true, nil
	case *ast.NullNode:
		return "", true, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true, nil
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return "", false, nil
	default:
		return "", false, fmt.Errorf("%w: anchors, aliases and tags are refused", errNotSale)
	}
}

// indicators counts line ends, tabs and the bytes that can mean something in YAML.
func indicators(text []byte) int {
	count := 0
	for _, b := range text {
		if bytes.IndexByte([]byte("\t\r\n[]{},:-?&*!|>#'\"%@`"), b) >= 0 {
			count++
		}
	}
	return count
}
