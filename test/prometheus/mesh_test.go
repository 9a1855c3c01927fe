package prometheus_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "a-secret-of-the-test"

// node is one vibemesh.
type node struct {
	*process
	addr, ops string
}

func (n *node) ready() bool { return get("http://"+n.ops+"/readyz") != "" }

// mesh is a nats-server, two edges (of which the second serves TLS) and an API.
type mesh struct {
	t          *testing.T
	nats       *process
	gate       *gate // between edges[0] and NATS
	edges      [2]*node
	api        *node
	natsServer string
}

func startMesh(t *testing.T) *mesh {
	t.Helper()
	addr, store := freeAddr(t), t.TempDir()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{t: t, natsServer: addr}
	m.nats = newProcess(t, "nats-server", filepath.Join(bin, "nats-server"), "-a", host, "-p", port, "-js", "-sd", store)
	m.nats.start()
	eventually(t, 20*time.Second, says("nats-server listens"), func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	provision := exec.Command(filepath.Join(bin, "vibemesh"), "provision", "--ws-nats-url", "nats://"+addr, "--ws-history-bytes", "1GiB")
	if out, err := provision.CombinedOutput(); err != nil {
		t.Fatalf("provision: %v\n%s", err, out)
	}
	m.gate = newGate(t, addr)
	cert, key := certificate(t)
	m.edges[0] = m.node("edge", "edge-1", "WS_NATS_URL="+m.gate.url(), "WS_DRAIN_TIMEOUT=1s")
	m.edges[1] = m.node("edge", "edge-2", "WS_TLS_CERT="+cert, "WS_TLS_KEY="+key, "WS_TOPICS=service")
	// This server asks for no credentials; the metrics show when they would end.
	users := t.TempDir()
	if out, err := exec.Command(filepath.Join(bin, "vibemesh"), "credentials", "--out", users, "--expires", "2160h").CombinedOutput(); err != nil {
		t.Fatalf("credentials: %v\n%s", err, out)
	}
	m.api = m.node("api", "api-1", "WS_NATS_CREDS="+filepath.Join(users, "api.creds"))
	for _, n := range m.nodes() {
		n.start()
	}
	m.awaitReady()
	return m
}

func (m *mesh) nodes() []*node { return []*node{m.edges[0], m.edges[1], m.api} }

func (m *mesh) node(command, name string, env ...string) *node {
	n := &node{process: newProcess(m.t, name, filepath.Join(bin, "vibemesh"), command), addr: freeAddr(m.t), ops: freeAddr(m.t)}
	n.env = append([]string{
		"WS_AUTH=dev", "WS_ADDR=" + n.addr, "WS_OPS_ADDR=" + n.ops, "WS_NODE=" + name, "WS_LOG_FORMAT=json",
		"WS_NATS_URL=nats://" + m.natsServer, "WS_PUBLISH_SECRET=" + secret, "GOMEMLIMIT=4GiB", "WS_CONNECTION_THRESHOLD=10000",
	}, env...)
	return n
}

func (m *mesh) awaitReady() {
	m.t.Helper()
	for _, n := range m.nodes() {
		eventually(m.t, 60*time.Second, says("%s is ready", n.name), n.ready)
	}
}

// publish sends a toast, to a user or (empty) everybody, and returns the status; 0: none.
func (m *mesh) publish(uid, text string) int {
	toast := map[string]any{"title": "of the test", "description": text}
	if uid != "" {
		toast["to"] = map[string]string{"user": uid}
	}
	body, err := json.Marshal(toast)
	if err != nil {
		m.t.Error(err)
		return 0
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+m.api.addr+"/api/v1/ws/toast", bytes.NewReader(body))
	if err != nil {
		m.t.Error(err)
		return 0
	}
	req.Header.Set("X-SV-KEY", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// token is a development token.
func token(t *testing.T, uid string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "sv-cli"), "token", "--user", uid).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// upgrade asks for a session, and returns the connection and the first line of the answer.
func upgrade(addr, query string, secure bool) (net.Conn, string, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, "", err
	}
	c.(*net.TCPConn).SetReadBuffer(4096) //nolint:errcheck // a larger one only fills later
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // the certificate is the test's
	}
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // a read says it
	fmt.Fprintf(c, "GET /api/v1/ws%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query, addr)
	buf := make([]byte, 512)
	n, err := c.Read(buf)
	if err != nil {
		c.Close()
		return nil, "", err
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return c, line, nil
}

// certificate is one for 90 days, with its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 90),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
