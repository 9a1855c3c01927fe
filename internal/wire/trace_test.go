package wire_test

import (
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const traceIDs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"

func TestTraceOf(t *testing.T) {
	for name, tt := range map[string]struct {
		header map[string][]string
		want   wire.Trace
	}{
		"no header":        {nil, wire.Trace{}},
		"none":             {map[string][]string{"Nats-Msg-Id": {"x"}, "tracestate": {"a=b"}}, wire.Trace{}},
		"a trace":          {map[string][]string{"traceparent": {"p"}, "tracestate": {"a=b"}}, wire.Trace{Parent: "p", State: "a=b"}},
		"with a capital":   {map[string][]string{"Traceparent": {"p"}, "Tracestate": {"a=b"}}, wire.Trace{Parent: "p", State: "a=b"}},
		"the exact one":    {map[string][]string{"Traceparent": {"q"}, "traceparent": {"p"}}, wire.Trace{Parent: "p"}},
		"of a schedule":    {map[string][]string{"traceparent": {"p"}, "Nats-Scheduler": {"s"}}, wire.Trace{Parent: "p", Scheduled: true}},
		"only a schedule":  {map[string][]string{"Nats-Scheduler": {"s"}}, wire.Trace{}},
		"a list of nobody": {map[string][]string{"traceparent": {}}, wire.Trace{}},
	} {
		if got := wire.TraceOf(tt.header); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestSampled(t *testing.T) {
	for parent, want := range map[string]bool{
		"": false, "01": false, traceIDs: false, traceIDs + "0": false,
		traceIDs + "00": false, traceIDs + "01": true, traceIDs + "02": false, traceIDs + "03": true, // W3C Trace Context 2 has a second flag
		traceIDs + "0f": true, traceIDs + "0e": false, traceIDs + "ff": true, traceIDs + "0F": false, traceIDs + "0g": false, traceIDs + "0-": false,
		"cc" + traceIDs[2:] + "01-more": true,
		strings.Repeat("\xff", 55):      false,
	} {
		if got := (&wire.Trace{Parent: parent}).Sampled(); got != want {
			t.Errorf("%q is sampled: %t", parent, got)
		}
	}
}
