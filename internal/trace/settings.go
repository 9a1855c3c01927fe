package trace

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ErrSettings is in the error of New when a variable of the environment is wrong.
var ErrSettings = errors.New("tracing")

// settings are what the environment says of tracing.
type settings struct {
	exporters []string // otlp, console; none: tracing is off
	protocol  string
	sampler   sdktrace.Sampler
	queue     queueSettings
}

// reader reads variables, and gathers what is wrong with them.
type reader struct {
	lookup func(string) (string, bool)
	errs   []error
}

func (r *reader) wrong(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%w: "+format, append([]any{ErrSettings}, args...)...))
}

// text is the value of a variable; an empty one is as good as none (the specification's
// "Empty value").
func (r *reader) text(name string) string {
	v, _ := r.lookup(name)
	return strings.TrimSpace(v)
}

func (r *reader) number(name string, otherwise, least int) int {
	text := r.text(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		r.wrong("%s %q: use a whole number, %d or more", name, text, least)
		return otherwise
	}
	return n
}

func (r *reader) millis(name string, otherwise time.Duration) time.Duration {
	return time.Duration(r.number(name, int(otherwise/time.Millisecond), 1)) * time.Millisecond
}

func (r *reader) oneOf(name, otherwise string, allowed ...string) string {
	text := strings.ToLower(r.text(name))
	switch {
	case text == "":
		return otherwise
	case !slices.Contains(allowed, text):
		r.wrong("%s %q: use %s", name, text, strings.Join(allowed, " or "))
		return otherwise
	}
	return text
}

// readSettings reads the variables of OpenTelemetry's specification that Vibemesh knows.
// What the exporters read themselves is checked here, since they say little of what is
// wrong and go on with a default.
func readSettings(lookup func(string) (string, bool)) (settings, error) {
	r := &reader{lookup: lookup}
	var s settings
	if r.oneOf("OTEL_SDK_DISABLED", "false", "true", "false") == "true" {
		return s, errors.Join(r.errs...)
	}
	s.exporters = r.exporters()
	if len(s.exporters) == 0 {
		return s, errors.Join(r.errs...)
	}
	s.protocol = r.protocol()
	s.sampler = r.sampler()
	s.queue = queueSettings{
		most:    r.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1),
		batch:   r.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1),
		delay:   r.millis("OTEL_BSP_SCHEDULE_DELAY", 5*time.Second),
		timeout: r.millis("OTEL_BSP_EXPORT_TIMEOUT", 30*time.Second),
	}
	if s.queue.batch > s.queue.most {
		s.queue.batch = s.queue.most
	}
	if slices.Contains(s.exporters, exporterOTLP) {
		r.checkOTLP()
	}
	return s, errors.Join(r.errs...)
}

// exporters are those that are asked for; an endpoint alone asks for otlp.
func (r *reader) exporters() (names []string) {
	const variable = "OTEL_TRACES_EXPORTER"
	given := strings.ToLower(r.text(variable))
	if given == "" && (r.text("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || r.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "") {
		given = exporterOTLP
	}
	for name := range strings.SplitSeq(given, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "" || name == "none" || slices.Contains(names, name):
		case name == exporterOTLP || name == exporterConsole:
			names = append(names, name)
		default:
			r.wrong("%s %q: use otlp, console or none", variable, name)
		}
	}
	return names
}

func (r *reader) protocol() string {
	name := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if r.text(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	return r.oneOf(name, protocolHTTP, protocolHTTP, protocolGRPC)
}

func (r *reader) sampler() sdktrace.Sampler {
	name := r.oneOf("OTEL_TRACES_SAMPLER", "parentbased_always_on", "always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
	kind, ofParent := strings.CutPrefix(name, "parentbased_")
	sampler := sdktrace.AlwaysSample()
	switch kind {
	case "always_off":
		sampler = sdktrace.NeverSample()
	case "traceidratio":
		sampler = sdktrace.TraceIDRatioBased(r.ratio())
	}
	if ofParent {
		sampler = sdktrace.ParentBased(sampler)
	}
	return sampler
}

func (r *reader) ratio() float64 {
	const name = "OTEL_TRACES_SAMPLER_ARG"
	text := r.text(name)
	if text == "" {
		return 1
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		r.wrong("%s %q: use a share from 0 to 1, such as 0.01", name, text)
		return 1
	}
	return ratio
}

// checkOTLP checks what the exporter reads itself, of traces and of all signals.
func (r *reader) checkOTLP() {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		if text := r.text(prefix + "ENDPOINT"); text != "" {
			if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				r.wrong("%sENDPOINT %q: use a URL such as http://collector:4318, or http://collector:4317 with the protocol grpc", prefix, text)
			}
		}
		r.checkHeaders(prefix + "HEADERS")
		r.number(prefix+"TIMEOUT", 0, 1)
		r.oneOf(prefix+"COMPRESSION", "", "gzip", "none")
		r.oneOf(prefix+"INSECURE", "", "true", "false")
		r.checkCertificates(prefix)
	}
}

// checkHeaders never repeats a value: it may be a secret.
func (r *reader) checkHeaders(name string) {
	for pair := range strings.SplitSeq(r.text(name), ",") {
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		_, err := url.PathUnescape(strings.TrimSpace(value))
		switch {
		case strings.TrimSpace(pair) == "":
		case !found || key == "" || strings.ContainsAny(key, " \t:;\"") || err != nil:
			r.wrong("%s: use a comma list of name=value, its values percent-encoded where they have commas or spaces, such as authorization=Bearer%%20TOKEN", name)
			return
		}
	}
}

func (r *reader) checkCertificates(prefix string) {
	if file := r.text(prefix + "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = errors.New("it holds no certificate in PEM")
		}
		if err != nil {
			r.wrong("%sCERTIFICATE %q: %w", prefix, file, err)
		}
	}
	certificate, key := r.text(prefix+"CLIENT_CERTIFICATE"), r.text(prefix+"CLIENT_KEY")
	if certificate == "" && key == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		r.wrong("%sCLIENT_CERTIFICATE and %sCLIENT_KEY name the files of a certificate and its key: %w", prefix, prefix, err)
	}
}
