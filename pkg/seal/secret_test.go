package seal_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"quittance/pkg/seal"
)

// TestSecretStaysSecret (P10): no ordinary way of printing gives the value.
func TestSecretStaysSecret(t *testing.T) {
	const value = "hunter2"
	secret := seal.Secret(value)
	type config struct {
		Password seal.Secret
		Pointer  *seal.Secret
		List     []seal.Secret
		Map      map[string]seal.Secret
	}
	all := config{secret, &secret, []seal.Secret{secret}, map[string]seal.Secret{"a": secret}}

	outputs := map[string]string{
		"error": fmt.Errorf("login with %v", secret).Error(),
		"join":  errors.Join(fmt.Errorf("%q", secret)).Error(),
		"str":   secret.String(),
		"go":    secret.GoString(),
	}
	for _, verb := range "vsqxXdTbceEfFgGoOUtz" {
		for _, flag := range []string{"", "+", "#", " ", "-20", "020", ".3"} {
			format := "%" + flag + string(verb)
			outputs[format] = fmt.Sprintf(format, secret)
			outputs[format+" of struct"] = fmt.Sprintf(format, all)
		}
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "xml": xml.Marshal} {
		for kind, v := range map[string]any{"value": secret, "pointer": &secret} {
			out, err := marshal(v)
			if err != nil {
				t.Errorf("%s of %s: %v", name, kind, err)
			}
			outputs[name+" "+kind] = string(out)
		}
	}
	if out, err := json.Marshal(all); err != nil {
		t.Error(err)
	} else {
		outputs["json struct"] = string(out)
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("x", "secret", secret, "pointer", &secret, "config", all)
	}
	outputs["slog"] = log.String()

	for name, output := range outputs {
		for _, leak := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprintf("% x", value)} {
			if strings.Contains(output, leak) {
				t.Errorf("%s shows the value: %s", name, output)
			}
		}
	}
	if got := fmt.Sprintf("%v|%+v|%#v|%q", secret, secret, secret, secret); got != strings.Repeat("|[redacted]", 4)[1:] {
		t.Errorf("fmt gives %s", got)
	}
	if secret.Reveal() != value {
		t.Errorf("Reveal = %q", secret.Reveal())
	}
}

func TestSecretUnmarshal(t *testing.T) {
	var secret seal.Secret
	if err := secret.UnmarshalText([]byte("hunter2")); err != nil || secret.Reveal() != "hunter2" {
		t.Errorf("UnmarshalText gives %q, %v", secret.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`"from json"`), &secret); err != nil || secret.Reveal() != "from json" {
		t.Errorf("json.Unmarshal gives %q, %v", secret.Reveal(), err)
	}
	if err := secret.UnmarshalText([]byte("[redacted]")); err == nil || secret.Reveal() != "from json" {
		t.Errorf("the placeholder was taken for a value: %q, %v", secret.Reveal(), err)
	}
}
