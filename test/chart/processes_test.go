package chart_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestProcesses does what a kubelet would: it runs the commands of the rendered pods with
// their environment and files, on this machine. Three nats-servers become a cluster, the
// Job makes the log with its own credentials, an edge and an API become ready by their
// probes, and so the pod of `helm test` succeeds.
func TestProcesses(t *testing.T) {
	for name, set := range map[string]string{
		"plain": "settings.WS_PARTITIONS=2,otel.endpoint=http://127.0.0.1:9",
		"tls":   "settings.WS_PARTITIONS=2,nats.tls.existingSecret=nats-tls,nats.tls.clientSecret=nats-tls,tls.existingSecret=ws-tls,edge.maxSessions=10000",
	} {
		t.Run(name, func(t *testing.T) {
			processes(t, render(t, "--values", chartDir+"/ci/01-minimal-values.yaml", "--set", set))
		})
	}
}

func processes(t *testing.T, all objects) {
	m := newMachine(t, all)
	credentials, conf, pair := filepath.Join(m.dir, "credentials"), filepath.Join(m.dir, "nats"), certificate(t)
	m.command(nil, "vibemesh", "credentials", "--out", credentials, "--partitions", "2")
	accounts, err := os.ReadFile(filepath.Join(credentials, "accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	m.files(conf, mapping(all.get("ConfigMap", "vibemesh-nats"), "data"))
	m.files(conf, map[string]any{"accounts.conf": string(accounts)})
	for path, at := range map[string]string{
		"/etc/nats/": conf, "/etc/vibemesh/nats/": credentials,
		"/etc/nats-tls/": pair, "/etc/vibemesh/nats-ca/": pair, "/etc/vibemesh/nats-tls/": pair, "/etc/vibemesh/tls/": pair,
	} {
		m.mounted[path] = at + "/"
	}

	servers := all.get("StatefulSet", "vibemesh-nats")
	for i := range number(servers, "spec", "replicas") {
		name := fmt.Sprintf("vibemesh-nats-%d", i)
		m.mounted["/data"] = filepath.Join(m.dir, name)
		m.mounted["/run/nats/"] = filepath.Join(m.dir, name) + "-"
		m.run(name, servers)
	}
	for i := range number(servers, "spec", "replicas") {
		m.probe(fmt.Sprintf("vibemesh-nats-%d", i), servers, "startupProbe", "readinessProbe", "livenessProbe")
	}
	m.complete("vibemesh-provision", all.of("Job")[0])
	var running []*exec.Cmd
	for _, name := range []string{"vibemesh-edge", "vibemesh-api"} {
		running = append(running, m.run(name, all.get("Deployment", name)))
		m.probe(name, all.get("Deployment", name), "startupProbe", "readinessProbe", "livenessProbe")
	}
	m.complete("vibemesh-test", all.get("Pod", "vibemesh-test"))
	for _, cmd := range running {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // Wait says if it had ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v ended by %v", cmd.Args, err)
		}
	}
}

// certificate makes a folder as a Secret of type kubernetes.io/tls is mounted, with a
// certificate for this machine that has signed itself.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &form, &form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{
		"tls.crt": public, "ca.crt": public, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
