package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// Reference writes a Markdown table of the variables that Load reads into a
// struct of cfg's type. It errs if a variable has no doc tag.
func Reference(w io.Writer, prefix string, cfg any) error {
	t := reflect.TypeOf(cfg)
	if t == nil || t.Kind() != reflect.Struct {
		return fmt.Errorf("config: %v is not a struct", t)
	}
	var b strings.Builder
	b.WriteString("| variable | type | default | description |\n|---|---|---|---|\n")
	var undocumented []string
	walk(reflect.New(t).Elem(), prefix, func(l leaf) {
		doc := l.field.Tag.Get("doc")
		if doc == "" {
			undocumented = append(undocumented, l.variable())
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", l.variable(), typeName(l.field.Type), l.fallback(), cell(doc))
	}, nil)
	if len(undocumented) > 0 {
		return fmt.Errorf("config: no doc tag on %s", strings.Join(undocumented, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (l leaf) fallback() string {
	if def, ok := l.field.Tag.Lookup("envDefault"); ok && def != "" {
		return "`" + cell(def) + "`"
	}
	if l.option("required") || l.option("notEmpty") {
		return "*required*"
	}
	return ""
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// typeName words a type for people who don't read Go.
func typeName(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "duration"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if t.PkgPath() == "" {
			return "integer"
		}
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map of " + typeName(t.Key()) + " to " + typeName(t.Elem())
	default:
	}
	if t.Name() != "" {
		return strings.ToLower(t.Name())
	}
	return t.String()
}
