// Package tlsport ends TLS in front of event loops that know nothing of it: it
// does the handshake on a connection and gives back a socket of plain bytes.
//
// Where the kernel can (TLS 1.3, Linux with the module tls), that is the same
// socket, and the kernel encrypts what is written to it and decrypts what is read.
// Elsewhere it is one end of a local pair, and a relay in this process carries the
// bytes between the other end and crypto/tls; that costs two more open files, some
// memory and a copy in each direction.
package tlsport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"golang.org/x/sync/errgroup"
)

// Port ends TLS for a listener. Its methods may be called by many goroutines.
type Port struct {
	log     *slog.Logger
	cert    *certificate
	config  *tls.Config
	ciphers []netloop.Cipher // that the kernel takes over
	loops   []*relayLoop
	turns   turns
	turn    atomic.Uint32 // chooses the loop of the next relay
	active  atomic.Int64  // relays

	handshakes *prometheus.CounterVec
	collectors []prometheus.Collector
}

// What becomes of a handshake, as vibemesh_tls_handshakes_total has it.
const (
	resultOK      = "ok"
	resultTimeout = "timeout" // the client did not finish in time
	resultAborted = "aborted" // the client ended the connection
	resultHTTP    = "http"    // the client spoke HTTP
	resultFailed  = "failed"  // they could not agree, or this process lacks something

	pathKernel = "kernel"
	pathRelay  = "relay"
	pathNone   = "none" // the handshake failed
)

// New loads a certificate and its key, PEM files that WS_TLS_CERT and WS_TLS_KEY
// name, and finds out what the kernel can do. Run must be called for the port to
// work, and frees what New took.
func New(certFile, keyFile string, log *slog.Logger) (*Port, error) {
	cert, err := newCertificate(certFile, keyFile, log)
	if err != nil {
		return nil, err
	}
	p := &Port{log: log, cert: cert, ciphers: netloop.KernelCiphers()}
	p.turns = make(turns, max(runtime.GOMAXPROCS(0)-1, 1)) // the rest is for the loops
	p.config = &tls.Config{
		GetCertificate: cert.forClient,
		MinVersion:     tls.VersionTLS12,
		// WebSockets begin with an HTTP/1.1 upgrade, which HTTP/2 does not have.
		NextProtos: []string{"http/1.1"},
		// A ticket is sent as a record of its own, after which the kernel would begin
		// with the wrong number.
		SessionTicketsDisabled: true,
		// Small first records are for pages that render early; here they would cut a
		// frame into many writes.
		DynamicRecordSizingDisabled: true,
	}
	p.measure()
	for range runtime.GOMAXPROCS(0) {
		l, err := newRelayLoop(&p.active)
		if err != nil {
			for _, l := range p.loops {
				err = errors.Join(err, l.poller.Close())
			}
			return nil, err
		}
		p.loops = append(p.loops, l)
	}
	if len(p.ciphers) > 0 {
		log.Info("TLS 1.3 is done by the kernel")
	} else {
		log.Info("TLS is done in this process, at three open files a connection; with the kernel's module tls (modprobe tls) it is one")
	}
	return p, nil
}

func (p *Port) measure() {
	p.handshakes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vibemesh_tls_handshakes_total", Help: "TLS handshakes, by result and by who encrypts from then on.",
	}, []string{"result", "path"})
	for _, path := range []string{pathKernel, pathRelay} {
		p.handshakes.WithLabelValues(resultOK, path)
	}
	for _, result := range []string{resultTimeout, resultAborted, resultHTTP, resultFailed} {
		p.handshakes.WithLabelValues(result, pathNone)
	}
	p.collectors = []prometheus.Collector{
		p.handshakes, p.cert.reloads,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "vibemesh_tls_relays", Help: "Connections whose TLS is done in this process.",
		}, func() float64 { return float64(p.active.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "vibemesh_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate in use expires, in seconds since 1970.",
		}, p.cert.expiry),
	}
}

// Collectors are the port's metrics, to be registered once.
func (p *Port) Collectors() []prometheus.Collector { return p.collectors }

// Config is the same certificate and rules for a server that ends TLS itself.
func (p *Port) Config() *tls.Config { return p.config.Clone() }

// Run carries bytes, and watches the certificate's files, until ctx ends; then
// what loops have written is passed on as far as clients take it at once, and every
// relay is closed. It is called once.
func (p *Port) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range p.loops {
		g.Go(func() error { return l.run(ctx) })
	}
	g.Go(func() error {
		p.cert.watch(ctx)
		return nil
	})
	return g.Wait()
}

// Terminate does the handshake on a non-blocking TCP socket, in the calling
// goroutine and until ctx ends at the latest, and returns a non-blocking socket of
// plain bytes. fd is used up in any case.
//
// A read from the result that fails is the connection's end, of whatever kind: see
// netloop.StartKernelTLS. netloop.CloseNotify goes before the end of what is written;
// a relay tells the client by itself.
func (p *Port) Terminate(ctx context.Context, fd int) (plain int, err error) {
	t := newTransport(fd, p.turns)
	var keys secrets
	defer keys.clear()
	config := p.config
	if len(p.ciphers) > 0 {
		config = config.Clone()
		config.KeyLogWriter = &keys
	}
	conn := tls.Server(t, config)
	p.turns.take()
	err = conn.HandshakeContext(ctx)
	p.turns.give()
	if err != nil {
		p.handshakes.WithLabelValues(p.refuse(ctx, t, err), pathNone).Inc()
		return -1, fmt.Errorf("TLS handshake: %w", err)
	}
	whole := t.betweenRecords()
	path := pathRelay
	if fd, err = t.take(); err == nil {
		plain, path, err = p.goOn(fd, conn, t, &keys, whole)
	}
	if err != nil {
		p.handshakes.WithLabelValues(resultFailed, pathNone).Inc()
		return -1, err
	}
	p.handshakes.WithLabelValues(resultOK, path).Inc()
	return plain, nil
}

// goOn has the kernel or a relay do what follows the handshake.
func (p *Port) goOn(fd int, conn *tls.Conn, t *transport, keys *secrets, whole bool) (plain int, path string, err error) {
	state := conn.ConnectionState()
	s, known := suites[state.CipherSuite]
	if whole && known && slices.Contains(p.ciphers, s.cipher) {
		switch err := s.start(fd, keys); {
		case err == nil:
			return fd, pathKernel, nil
		case !errors.Is(err, netloop.ErrNoKernelTLS):
			netloop.CloseFD(fd)
			return -1, "", err
		default:
			p.log.Debug("the kernel does not take a TLS connection over", "err", err)
		}
	}
	plain, err = p.relay(fd, conn, t)
	return plain, pathRelay, err
}

// start hands a connection to the kernel, both of whose directions are at their
// first record: no application data was read, and none was written.
func (s suite) start(fd int, keys *secrets) error {
	send, err := s.recordKey(keys.send)
	if err != nil {
		return err
	}
	defer clear(send.Key)
	receive, err := s.recordKey(keys.receive)
	if err != nil {
		return err
	}
	defer clear(receive.Key)
	return netloop.StartKernelTLS(fd, send, receive)
}

func (p *Port) relay(fd int, conn *tls.Conn, t *transport) (plain int, err error) {
	ours, plain, err := netloop.Pair(pairBuffer)
	if err != nil {
		netloop.CloseFD(fd)
		return -1, err
	}
	t.detach(fd)
	r := &relay{tls: conn, tcp: t, plain: ours}
	l := p.loops[int(p.turn.Add(1))%len(p.loops)]
	if err := l.post(r); err != nil {
		r.close()
		netloop.CloseFD(plain)
		return -1, err
	}
	return plain, nil
}

// refuse ends a connection whose handshake failed, and names the result.
func (p *Port) refuse(ctx context.Context, t *transport, err error) string {
	defer t.Close()
	wrongHeader, notTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case notTLS && wrongHeader.Conn != nil && looksLikeHTTP(wrongHeader.RecordHeader):
		t.sayHTTP(ctx)
		return resultHTTP
	case ctx.Err() != nil:
		return resultTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return resultAborted
	}
	p.log.Debug("TLS handshake", "err", err)
	return resultFailed
}

// looksLikeHTTP knows a request by the beginning of its method.
func looksLikeHTTP(header [recordHeader]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH"}, string(header[:]))
}

// requestPatience is how long a client may take to read why it was refused.
const requestPatience = time.Second

// sayHTTP answers a request that came without TLS as net/http does, and waits for
// the client's end: bytes unread when the socket is closed would reset it, and
// could take the answer with them.
func (t *transport) sayHTTP(ctx context.Context) {
	until := time.Now().Add(requestPatience)
	if at, ok := ctx.Deadline(); ok && at.Before(until) {
		until = at
	}
	if t.file.SetDeadline(until) != nil {
		return
	}
	const answer = "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
	if _, err := io.WriteString(t.file, answer); err != nil {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	if raw.Control(func(fd uintptr) { netloop.ShutdownWrite(int(fd)) }) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(t.file, 64<<10)) //nolint:errcheck // see above
}
