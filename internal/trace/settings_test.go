package trace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func from(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestExporters(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing":              {nil, nil},
		"empty is unset":       {map[string]string{"OTEL_TRACES_EXPORTER": "", endpoint: " "}, nil},
		"an endpoint":          {map[string]string{endpoint: "http://c:4318"}, []string{"otlp"}},
		"an endpoint of these": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/v1/traces"}, []string{"otlp"}},
		"none":                 {map[string]string{"OTEL_TRACES_EXPORTER": "none", endpoint: "http://c:4318"}, nil},
		"both":                 {map[string]string{"OTEL_TRACES_EXPORTER": "otlp, console,otlp"}, []string{"otlp", "console"}},
		"disabled":             {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, nil},
		"disabled, wrong":      {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_SAMPLER": "x", endpoint: "c"}, nil},
		"off, wrong":           {map[string]string{"OTEL_TRACES_SAMPLER": "x"}, nil},
		"not disabled":         {map[string]string{"OTEL_SDK_DISABLED": "FALSE", "OTEL_TRACES_EXPORTER": "console"}, []string{"console"}},
	} {
		s, err := readSettings(from(tt.env))
		if err != nil || !slices.Equal(s.exporters, tt.want) {
			t.Errorf("%s: %v, %v, want %v", name, s.exporters, err, tt.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	s, err := readSettings(from(map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}))
	want := queueSettings{most: 2048, batch: 512, delay: 5 * time.Second, timeout: 30 * time.Second}
	if err != nil || s.protocol != protocolHTTP || s.queue != want {
		t.Errorf("%+v, %v", s, err)
	}
	if d := s.sampler.Description(); !strings.HasPrefix(d, "ParentBased{root:AlwaysOnSampler") {
		t.Errorf("the sampler is %s", d)
	}
}

func TestSamplers(t *testing.T) {
	for name, want := range map[string]string{
		"always_on": "AlwaysOnSampler", "always_off": "AlwaysOffSampler", "traceidratio": "TraceIDRatioBased{0.25}",
		"parentbased_always_on": "ParentBased{root:AlwaysOnSampler", "parentbased_always_off": "ParentBased{root:AlwaysOffSampler",
		"parentbased_traceidratio": "ParentBased{root:TraceIDRatioBased{0.25}",
	} {
		s, err := readSettings(from(map[string]string{
			"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.25",
		}))
		if err != nil || !strings.HasPrefix(s.sampler.Description(), want) {
			t.Errorf("%s: %v, %v", name, s.sampler, err)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"OTEL_SDK_DISABLED": "yes", "OTEL_TRACES_EXPORTER": "otlp,jaeger",
		"OTEL_TRACES_SAMPLER": "jaeger_remote", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "udp",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s",
		"OTEL_EXPORTER_OTLP_HEADERS": "hush-hush", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=%zz", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
		"OTEL_EXPORTER_OTLP_INSECURE": "1", "OTEL_EXPORTER_OTLP_CERTIFICATE": garbage, "OTEL_EXPORTER_OTLP_CLIENT_KEY": garbage,
		"OTEL_BSP_MAX_QUEUE_SIZE": "0", "OTEL_BSP_SCHEDULE_DELAY": "-1", "OTEL_BSP_EXPORT_TIMEOUT": "soon", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "all",
	} {
		env := map[string]string{"OTEL_TRACES_EXPORTER": "otlp", name: value}
		_, err := readSettings(from(env))
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the error repeats a header, which may be a secret: %v", err)
		}
	}
	for _, ratio := range []string{"2", "-0.1", "NaN", "1%"} {
		_, err := readSettings(from(map[string]string{
			"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio,
		}))
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER_ARG") {
			t.Errorf("OTEL_TRACES_SAMPLER_ARG=%s: %v", ratio, err)
		}
	}
}

// TestAllWrongAtOnce: one start tells of everything.
func TestAllWrongAtOnce(t *testing.T) {
	_, err := readSettings(from(map[string]string{
		"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_TIMEOUT": "x",
	}))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v", err)
	}
}
