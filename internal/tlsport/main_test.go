package tlsport_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/tlsport"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// Which keys a certificate has.
const (
	withECDSA = "ECDSA"
	withRSA   = "RSA"
)

// pair is a certificate for "mesh.test" and its key.
type pair struct {
	certPEM, keyPEM []byte
	leaf            *x509.Certificate
}

func newPair(t testing.TB, kind, name string, until time.Time) pair {
	t.Helper()
	var key crypto.Signer
	var err error
	if kind == withRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"mesh.test"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		leaf:    leaf,
	}
}

// store writes a pair where a port finds it.
func (p pair) store(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := errors.Join(os.WriteFile(certFile, p.certPEM, 0o600), os.WriteFile(keyFile, p.keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

// client is the configuration of a client that trusts the pair.
func (p pair) client() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.leaf)
	return &tls.Config{RootCAs: roots, ServerName: "mesh.test"}
}

// rig is a port behind a listener.
type rig struct {
	*tlsport.Port
	t    testing.TB
	ctx  context.Context // of what a test waits for
	pair pair
	dir  string // where its files are
	ln   net.Listener
	stop func() // ends Run
}

// newRig makes a port. When the test is over, every file must be closed again.
func newRig(t testing.TB, kind string, kernel bool) *rig {
	t.Helper()
	open := openFiles(t)
	p := newPair(t, kind, "first", time.Now().Add(time.Hour))
	dir := t.TempDir()
	certFile, keyFile := p.store(t, dir)
	port, err := tlsport.New(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- port.Run(running) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	r := &rig{Port: port, t: t, pair: p, dir: dir, stop: stop}
	t.Cleanup(func() {
		stop()
		if n := port.Relays(); n != 0 {
			t.Errorf("%d relays after Run has ended", n)
		}
		if r.ln != nil {
			r.ln.Close()
		}
		if now := openFiles(t); now > open {
			t.Errorf("%d files are open, %d were before", now, open)
		}
	})
	if !kernel {
		port.WithoutKernel()
	} else if !port.HasKernel() {
		t.Skip("this kernel has no TLS (module tls): a kernel that has it must run this test")
	}
	if r.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var end context.CancelFunc
	r.ctx, end = context.WithTimeout(t.Context(), patience)
	t.Cleanup(end)
	return r
}

// openFiles counts this process's open files but those of the runtime's poller,
// which opens them when it is first needed.
func openFiles(t testing.TB) int {
	t.Helper()
	f, err := os.Open("/proc/self/fd") // has the runtime's poller opened as well
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// dial connects a client's socket and accepts it.
func (r *rig) dial() (client net.Conn, fd int) {
	r.t.Helper()
	var d net.Dialer
	client, err := d.DialContext(r.ctx, "tcp", r.ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close() })
	accepted, err := r.ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	defer accepted.Close()
	if fd, err = netloop.Take(accepted); err != nil {
		r.t.Fatal(err)
	}
	return client, fd
}

// connect does a whole handshake: the client's end, and the socket that a loop
// would get.
func (r *rig) connect(config *tls.Config) (client *tls.Conn, plain int) {
	r.t.Helper()
	conn, fd := r.dial()
	client = tls.Client(conn, config)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	plain, err := r.Terminate(r.ctx, fd)
	if err := errors.Join(err, <-shaken); err != nil {
		r.t.Fatal(err)
	}
	return client, plain
}

// file wraps the loop's end of a connection so that a test can wait for it.
func (r *rig) file(plain int) *os.File {
	r.t.Helper()
	f := os.NewFile(uintptr(plain), "plain")
	if err := f.SetDeadline(time.Now().Add(patience)); err != nil { // also: it is non-blocking
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

// shut ends the loop's side of a connection as the edge does.
func shut(t testing.TB, f *os.File) {
	t.Helper()
	if err := netloop.CloseNotifyConn(f, patience); err != nil {
		t.Error(err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	if err := raw.Control(func(fd uintptr) { netloop.ShutdownWrite(int(fd)) }); err != nil {
		t.Error(err)
	}
}

// readAll reads until the client's end, which a kernel's close_notify makes EIO.
func readAll(f *os.File) ([]byte, error) {
	b, err := io.ReadAll(f)
	if errors.Is(err, syscall.EIO) {
		err = nil
	}
	return b, err
}

// metrics are the port's: their names and the values of their labels, in order.
func (r *rig) metrics() map[string]float64 {
	r.t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// eventually waits for something that the relays' goroutines bring about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// paths runs a test on each path.
func paths(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("relay", func(t *testing.T) { test(t, newRig(t, withECDSA, false)) })
	t.Run("kernel", func(t *testing.T) { test(t, newRig(t, withECDSA, true)) })
}
