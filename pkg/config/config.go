// Package config owns how a program reads its settings: a struct with env,
// envDefault and doc tags in, the filled struct or an error that names every
// bad variable out. The same struct gives the reference table for people.
//
//	type Config struct {
//		Addr  string        `env:"ADDR" envDefault:":9000" doc:"listen address"`
//		Token seal.Secret   `env:"TOKEN,required" doc:"service token"`
//		Lease time.Duration `env:"LEASE" envDefault:"30s" doc:"how long work is held"`
//		Mongo mongo.Config  `envPrefix:"MONGO_"`
//	}
//
// Every variable X can also be given as X_FILE, the path of a file that holds
// the value (trailing newlines are dropped); container secrets come that way.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Validator is implemented by a config struct (at any depth) with rules that
// tags can't say. Violations made with [Violation] name their variable; several
// are returned with errors.Join.
type Validator interface {
	Validate() error
}

// Problem is one bad variable.
type Problem struct {
	// Variable is the full name, or the common prefix if a rule of several
	// variables is broken.
	Variable string
	Message  string
}

// Error names everything that is wrong with the settings. A program that meets
// it exits with code 2.
type Error struct {
	Problems []Problem
}

// Error lists the problems, one per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Variable + ": " + p.Message
	}
	return "configuration:\n  " + strings.Join(lines, "\n  ")
}

// ExitCode tells wrong settings from failures at work.
func (e *Error) ExitCode() int { return 2 }

type violation struct{ variable, message string }

func (v *violation) Error() string { return v.variable + ": " + v.message }

// Violation is what Validate returns for a bad variable, named as in the
// struct's own env tag: Load puts the prefix before it. The message says why
// and names the values: "must be longer than LEASE (10s), is 5s".
func Violation(variable, format string, args ...any) error {
	return &violation{variable, fmt.Sprintf(format, args...)}
}

// Load fills a T from environ, or from the environment of the process if
// environ is nil. Every variable name starts with prefix. The error, if any,
// is an *Error; values of secrets are not in it.
func Load[T any](prefix string, environ map[string]string) (T, error) {
	var cfg T
	if environ == nil {
		environ = env.ToMap(os.Environ())
	}
	var e Error
	v := reflect.ValueOf(&cfg).Elem()
	if v.Kind() != reflect.Struct {
		return cfg, fmt.Errorf("config: %s is not a struct", v.Type())
	}
	walk(v, prefix, func(l leaf) {
		if err := l.load(environ); err != nil {
			e.Problems = append(e.Problems, Problem{l.variable(), err.Error()})
		}
	}, nil)
	if len(e.Problems) == 0 {
		walk(v, prefix, nil, func(v reflect.Value, prefix string) {
			e.validate(v, prefix)
		})
	}
	if len(e.Problems) > 0 {
		return cfg, &e
	}
	return cfg, nil
}

func (e *Error) validate(v reflect.Value, prefix string) {
	val, ok := v.Addr().Interface().(Validator)
	if !ok {
		return
	}
	for _, err := range flatten(val.Validate()) {
		var viol *violation
		if errors.As(err, &viol) {
			e.Problems = append(e.Problems, Problem{prefix + viol.variable, viol.message})
			continue
		}
		e.Problems = append(e.Problems, Problem{strings.TrimSuffix(prefix, "_"), err.Error()})
	}
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// leaf is one variable: a struct field with an env tag.
type leaf struct {
	prefix string
	field  reflect.StructField
	value  reflect.Value
}

func (l leaf) variable() string {
	key, _, _ := strings.Cut(l.field.Tag.Get("env"), ",")
	return l.prefix + key
}

func (l leaf) option(name string) bool {
	_, options, _ := strings.Cut(l.field.Tag.Get("env"), ",")
	for o := range strings.SplitSeq(options, ",") {
		if o == name {
			return true
		}
	}
	return false
}

// load parses the variable alone, so that an error is surely about it.
func (l leaf) load(environ map[string]string) error {
	name := l.variable()
	one := map[string]string{}
	value, set := environ[name]
	path := environ[name+"_FILE"]
	switch {
	case value != "" && path != "":
		return fmt.Errorf("is set, and so is %s_FILE: unset one of them", name)
	case path != "":
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s_FILE: %w", name, err)
		}
		one[name] = strings.TrimRight(string(b), "\r\n")
	case set:
		one[name] = value
	}

	alone := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: l.field.Name, Type: l.field.Type, Tag: l.field.Tag,
	}}))
	err := env.ParseWithOptions(alone.Interface(), env.Options{Prefix: l.prefix, Environment: one})
	if err != nil {
		return explain(err, l.field.Type)
	}
	if l.option("required") && one[name] == "" {
		return errors.New("is required and must not be empty")
	}
	l.value.Set(alone.Elem().Field(0))
	return nil
}

func explain(err error, t reflect.Type) error {
	var parse env.ParseError
	switch {
	case errors.As(err, &parse):
		return fmt.Errorf("is not a valid %s: %w", typeName(t), parse.Err)
	case errors.As(err, &env.VarIsNotSetError{}):
		return errors.New("is required and not set")
	case errors.As(err, &env.EmptyVarError{}):
		return errors.New("must not be empty")
	}
	return err
}

// walk visits the variables of v and the structs they are in, outside in.
func walk(v reflect.Value, prefix string, onLeaf func(leaf), onStruct func(v reflect.Value, prefix string)) {
	if onStruct != nil {
		onStruct(v, prefix)
	}
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("env")
		switch {
		case !field.IsExported() || tag == "-":
		case tag != "":
			if onLeaf != nil {
				onLeaf(leaf{prefix, field, v.Field(i)})
			}
		case field.Type.Kind() == reflect.Struct:
			walk(v.Field(i), prefix+field.Tag.Get("envPrefix"), onLeaf, onStruct)
		}
	}
}
