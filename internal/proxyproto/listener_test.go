package proxyproto_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/proxyproto"
)

// dial connects to a listener and gives both ends.
func dial(t *testing.T) (client, served net.Conn) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := proxyproto.NewListener(plain)
	t.Cleanup(func() { ln.Close() })
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if served, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.Close() })
	return client, served
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

var (
	somebody = netip.MustParseAddrPort("203.0.113.7:4711")
	here     = netip.MustParseAddrPort("192.0.2.1:443")
)

func TestListener(t *testing.T) {
	client, served := dial(t)
	header := proxyproto.Append(nil, somebody, here)
	write(t, client, header[:9]) // in two pieces, and what follows comes with the second
	go client.Write(append(header[9:len(header):len(header)], "GET /"...))
	if got := served.RemoteAddr().String(); got != somebody.String() {
		t.Errorf("the address is %s", got)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(served, got); err != nil || string(got) != "GET /" {
		t.Errorf("read %q, %v", got, err)
	}
	write(t, client, []byte("more"))
	if n, err := io.ReadFull(served, got[:4]); err != nil || string(got[:n]) != "more" {
		t.Errorf("then %q, %v", got[:n], err)
	}
}

// TestListenerOfBalancer: who checks the server's health names nobody.
func TestListenerOfBalancer(t *testing.T) {
	client, served := dial(t)
	write(t, client, append(proxyproto.Append(nil, netip.AddrPort{}, netip.AddrPort{}), '!'))
	if got, want := served.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("the address is %s, not %s", got, want)
	}
	got := make([]byte, 1)
	if _, err := io.ReadFull(served, got); err != nil || got[0] != '!' {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestListenerRefuses(t *testing.T) {
	client, served := dial(t)
	write(t, client, []byte("GET / HTTP/1.1\r\n\r\n"))
	if n, err := served.Read(make([]byte, 100)); n != 0 || !errors.Is(err, proxyproto.ErrSignature) {
		t.Errorf("without a header: %d bytes, %v", n, err)
	}
	if n, err := served.Read(make([]byte, 100)); n != 0 || !errors.Is(err, proxyproto.ErrSignature) {
		t.Errorf("and again: %d bytes, %v", n, err)
	}

	client, served = dial(t)
	write(t, client, proxyproto.Append(nil, somebody, here)[:20])
	client.Close()
	if n, err := served.Read(make([]byte, 100)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("half a header: %d bytes, %v", n, err)
	}
}

// TestListenerLeavesDeadlines: the server's own count once the header is read.
func TestListenerLeavesDeadlines(t *testing.T) {
	client, served := dial(t)
	write(t, client, proxyproto.Append(nil, somebody, here))
	served.RemoteAddr()
	if err := served.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := served.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("past a deadline: %v", err)
	}
}
