package tlsport_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// echo answers with the bytes that it is sent.
func echo(t *testing.T, client *tls.Conn, size int) {
	t.Helper()
	sent := make([]byte, size)
	if _, err := rand.Read(sent); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(sent)
		wrote <- err
	}()
	got := make([]byte, size)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatalf("%d bytes: %v", size, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back otherwise than they were sent", size)
	}
}

func TestBytesBothWays(t *testing.T) {
	for _, c := range []struct {
		version uint16
		kind    string
		kernel  bool
		path    string
	}{
		{tls.VersionTLS12, withECDSA, false, "relay"},
		{tls.VersionTLS12, withRSA, false, "relay"},
		{tls.VersionTLS13, withECDSA, false, "relay"},
		{tls.VersionTLS13, withRSA, false, "relay"},
		{tls.VersionTLS13, withECDSA, true, "kernel"},
		{tls.VersionTLS13, withRSA, true, "kernel"},
		{tls.VersionTLS12, withECDSA, true, "relay"}, // though the kernel could
	} {
		t.Run(fmt.Sprintf("%s %s kernel %v", tls.VersionName(c.version), c.kind, c.kernel), func(t *testing.T) {
			r := newRig(t, c.kind, c.kernel)
			config := r.pair.client()
			config.MinVersion, config.MaxVersion = c.version, c.version
			client, plain := r.connect(config)
			if got := r.metrics()["vibemesh_tls_handshakes_total "+c.path+" ok"]; got != 1 {
				t.Errorf("not on the path %s: %v", c.path, r.metrics())
			}
			f := r.file(plain)
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(f, onlyReader{f})
				ended <- err
			}()
			for _, size := range []int{1, 2, 100, 1000, 16383, 16384, 16385, 65536, 100_000, 1 << 20} {
				echo(t, client, size)
			}
			client.Close()
			<-ended // an end or EIO: the client is gone
		})
	}
}

// onlyReader keeps io.Copy from splicing in the kernel, which the loops do not do.
type onlyReader struct{ io.Reader }

// cork sends nothing after the first write until it is pulled: what is written
// meanwhile arrives at once.
type cork struct {
	net.Conn
	writes int
	held   bytes.Buffer
	pulled bool
}

func (c *cork) Write(b []byte) (int, error) {
	c.writes++
	if c.pulled || c.writes == 1 {
		return c.Conn.Write(b)
	}
	return c.held.Write(b)
}

func (c *cork) pull() error {
	c.pulled = true
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil { // a tls.Conn's CloseWrite leaves it in the past
		return err
	}
	_, err := c.Conn.Write(c.held.Bytes())
	return err
}

// A client may send its request in the same packet as the end of its handshake.
func TestDataBehindFinished(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		for _, size := range []int{1, 300, 40_000} {
			conn, fd := r.dial()
			held := &cork{Conn: conn}
			client := tls.Client(held, r.pair.client())
			request := bytes.Repeat([]byte("r"), size)
			sent := make(chan error, 1)
			go func() {
				_, err := client.Write(request)
				sent <- errors.Join(err, held.pull())
			}()
			plain, err := r.Terminate(r.ctx, fd)
			if err := errors.Join(err, <-sent); err != nil {
				t.Fatal(err)
			}
			f := r.file(plain)
			got := make([]byte, size)
			if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, request) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if err := errors.Join(f.Close(), client.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSilentClient(t *testing.T) {
	r := newRig(t, withECDSA, false)
	client, fd := r.dial()
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := r.Terminate(ctx, fd); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the time", err)
	}
	if n, err := client.Read(make([]byte, 1)); err == nil {
		t.Errorf("the client still has a connection: read %d", n)
	}
	r.counted("timeout")
}

// counted checks the result of the one handshake.
func (r *rig) counted(result string) {
	r.t.Helper()
	for name, value := range r.metrics() {
		is := name == "vibemesh_tls_handshakes_total none "+result
		if strings.HasPrefix(name, "vibemesh_tls_handshakes_total") && is != (value == 1) {
			r.t.Errorf("%s is %v; the handshake was %s", name, value, result)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	r := newRig(t, withECDSA, false)
	client, fd := r.dial()
	// More than the few bytes that tell: what stays unread must not reset the answer.
	if _, err := io.WriteString(client, "GET /api/v1/ws HTTP/1.1\r\nHost: mesh.test\r\nX: "+strings.Repeat("x", 8000)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		got, err := io.ReadAll(client)
		if err != nil {
			got = fmt.Append(got, err)
		}
		client.Close()
		answer <- string(got)
	}()
	if _, err := r.Terminate(r.ctx, fd); err == nil {
		t.Error("HTTP without TLS was let in")
	}
	if got := <-answer; !strings.HasPrefix(got, "HTTP/1.0 400 Bad Request\r\n") ||
		!strings.HasSuffix(got, "\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") {
		t.Errorf("the client got %q", got)
	}
	r.counted("http")
}

func TestRefusedHandshakes(t *testing.T) {
	for name, c := range map[string]struct {
		client func(conn net.Conn, config *tls.Config) error
		result string
	}{
		"only HTTP/2": {func(conn net.Conn, config *tls.Config) error {
			config.NextProtos = []string{"h2"}
			return tls.Client(conn, config).Handshake()
		}, "failed"},
		"TLS 1.1": {func(conn net.Conn, config *tls.Config) error {
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return tls.Client(conn, config).Handshake()
		}, "failed"},
		"does not trust it": {func(conn net.Conn, config *tls.Config) error {
			config.RootCAs = nil
			return tls.Client(conn, config).Handshake()
		}, "failed"},
		"neither TLS nor HTTP": {func(conn net.Conn, _ *tls.Config) error {
			if _, err := io.WriteString(conn, "SSH-2.0-client\r\n"); err != nil {
				return err
			}
			_, err := conn.Read(make([]byte, 1))
			return err
		}, "failed"},
		"gone at once": {func(conn net.Conn, _ *tls.Config) error {
			return errors.Join(errors.New("gone"), conn.Close())
		}, "aborted"},
		"gone amid a record": {func(conn net.Conn, _ *tls.Config) error {
			_, err := conn.Write([]byte{22, 3, 1, 2, 0, 1, 0})
			return errors.Join(errors.New("gone"), err, conn.Close())
		}, "aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, withECDSA, false)
			conn, fd := r.dial()
			clientErr := make(chan error, 1)
			go func() { clientErr <- c.client(conn, r.pair.client()) }()
			if plain, err := r.Terminate(r.ctx, fd); err == nil {
				t.Errorf("let in, as %d", plain)
			}
			if <-clientErr == nil {
				t.Error("the client believes that it was let in")
			}
			r.counted(c.result)
		})
	}
}

// A client of both HTTP versions is told to speak the one that upgrades.
func TestProtocol(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		config := r.pair.client()
		config.NextProtos = []string{"h2", "http/1.1"}
		client, plain := r.connect(config)
		defer netloop.CloseFD(plain)
		if got := client.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("protocol %q", got)
		}
	})
}

func TestTerminateAfterTheEnd(t *testing.T) {
	r := newRig(t, withECDSA, false)
	r.stop()
	conn, fd := r.dial()
	client := tls.Client(conn, r.pair.client())
	go client.Handshake()
	if plain, err := r.Terminate(r.ctx, fd); err == nil {
		t.Errorf("let in, as %d", plain)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client still has a connection")
	}
}
