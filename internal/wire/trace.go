package wire

// Headers of a message that carry the trace it belongs to (W3C Trace Context).
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)

// HeaderScheduler is on what JetStream delivers for a schedule: the schedule's subject.
const HeaderScheduler = "Nats-Scheduler"

// Trace is what the headers of a message say of its trace. The zero value is no trace.
type Trace struct {
	Parent, State string // traceparent and tracestate, as they came
	Scheduled     bool   // the message had waited for its time
}

// TraceOf reads the headers of a message on NATS, whose names count letter by letter.
// Go's libraries write them as HTTP does, with a capital, so that is taken, too.
func TraceOf(header map[string][]string) (t Trace) {
	if len(header) == 0 {
		return t
	}
	if t.Parent = first(header[HeaderTraceparent], header["Traceparent"]); t.Parent == "" {
		return t
	}
	t.State = first(header[HeaderTracestate], header["Tracestate"])
	t.Scheduled = len(header[HeaderScheduler]) > 0
	return t
}

func first(values, others []string) string {
	switch {
	case len(values) > 0:
		return values[0]
	case len(others) > 0:
		return others[0]
	}
	return ""
}

// sizeTraceparent is the length of version 00: "00-<trace id>-<span id>-<flags>".
const sizeTraceparent = 2 + 1 + 32 + 1 + 16 + 1 + 2

// Sampled reports whether the flag "sampled" is set. It looks at nothing else: whether
// the rest is well-formed is for who uses it.
func (t *Trace) Sampled() bool {
	if len(t.Parent) < sizeTraceparent {
		return false
	}
	switch c := t.Parent[sizeTraceparent-1]; {
	case c >= '0' && c <= '9':
		return (c-'0')&1 == 1
	case c >= 'a' && c <= 'f':
		return (c-'a'+10)&1 == 1
	}
	return false
}
