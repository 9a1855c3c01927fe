package openapi_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// exchange is a request and its answer.
type exchange struct {
	method, path string
	query        url.Values
	sent         http.Header
	body         []byte
	status       int
	header       http.Header
	answer       []byte
}

// record keeps every exchange with the servers.
type record struct {
	t  testing.TB
	of []exchange
}

// call makes a request; headers are "Name: value" lines.
func (r *record) call(base, method, target, body string, headers ...string) exchange {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, base+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.keep(req, body, resp)
}

// raw sends the head of a request as it is and reads the answer's. The connection stays
// open until the test ends.
func (r *record) raw(addr string, lines ...string) exchange {
	r.t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(r.t.Context(), "tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	head := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		r.t.Fatal(err)
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = http.NoBody // frames follow
	}
	return r.keep(req, "", resp)
}

func (r *record) keep(req *http.Request, body string, resp *http.Response) exchange {
	r.t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	x := exchange{
		method: req.Method, path: req.URL.Path, query: req.URL.Query(), sent: req.Header, body: []byte(body),
		status: resp.StatusCode, header: resp.Header, answer: bytes.TrimSpace(text),
	}
	r.of = append(r.of, x)
	return x
}

// is fails the test when the answer has another status.
func (x exchange) is(t testing.TB, status int) exchange {
	t.Helper()
	if x.status != status {
		t.Errorf("%s %s?%s %s: %d, want %d: %s", x.method, x.path, x.query.Encode(), x.body, x.status, status, x.answer)
	}
	return x
}
