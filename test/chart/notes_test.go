package chart_test

import (
	"strings"
	"testing"
)

// TestNotes holds what is told after an installation to what was installed.
func TestNotes(t *testing.T) {
	const nothing = "Nothing leads in from outside yet"
	for _, row := range []struct{ set, says, not string }{
		{"edge.replicas=3", nothing, "PROXY protocol"},
		{"edge.service.type=NodePort", "at the node port of svc/vibemesh-edge", nothing},
		{"edge.service.type=LoadBalancer", "at the load balancer of svc/vibemesh-edge", nothing},
		{"ingress.enabled=true,ingress.hosts[0]=ws.example.com", "ws://ws.example.com/api/v1/ws", nothing},
		{"settings.WS_PROXY_PROTOCOL=true", "api.extraEnv", "no such thing"},
		{"nats.replicas=1", "NATS: nats://vibemesh-nats.notes.svc:4222", "The certificate in"},
		{"settings.WS_HISTORY_BYTES=0", "takes nothing more once its disk is full", "no such thing"},
		{"edge.replicas=4", "Backends that publish by NATS", "once its disk is full"},
		{"nats.tls.existingSecret=nats-tls", "NATS: tls://vibemesh-nats.notes.svc:4222", "One server"},
		{"nats.tls.existingSecret=nats-tls", "The certificate in nats-tls has to be for these names", "One server"},
		{"edge.replicas=3", "port-forward svc/vibemesh-api 8080:80     # http://127.0.0.1:8080/docs", "wss://"},
		{"edge.replicas=3", "port-forward svc/vibemesh-edge 8081:80    # ws://127.0.0.1:8081/api/v1/ws", "networkPolicy.extraEgress"},
		{"tls.existingSecret=tls,edge.maxSessions=1000", "svc/vibemesh-edge 8081:443   # wss://127.0.0.1:8081/api/v1/ws", "ws://"},
		{"otel.endpoint=http://collector:4318", "http://collector:4318 is not among them", "becomes one of them"},
		{"settings.FIREBASE_AUTH_EMULATOR_HOST=emulator:9099", "emulator:9099 is not among them", "collector"},
		{"otel.endpoint=http://collector:4318,networkPolicy.extraEgress[0].ports[0].port=4318", "Backends", "networkPolicy.extraEgress"},
		{"networkPolicy.enabled=false", "on port 6222 becomes one of them", "networkPolicy.extraEgress"},
		{"networkPolicy.enabled=false,nats.replicas=1", "One server", "becomes one of them"},
		{"networkPolicy.enabled=false,nats.tls.existingSecret=nats-tls", "The certificate in", "becomes one of them"},
	} {
		out, err := helm(t.Context(), "notes", "install", release, chartDir, "--dry-run=client", "--values", chartDir+"/ci/01-minimal-values.yaml", "--set", row.set)
		if err != nil {
			t.Fatal(err)
		}
		_, notes, ok := strings.Cut(out, "NOTES:")
		if !ok || !strings.Contains(notes, row.says) || strings.Contains(notes, row.not) {
			t.Errorf("with %s, not %q, or %q:\n%s", row.set, row.says, row.not, notes)
		}
	}
}
