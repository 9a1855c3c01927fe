package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory, which have deadlines by the bubble's clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) Close() error {
	close(p.done)
	return nil
}

// TestClientThatDoesNotRead: who asks and takes no answer is let go of, or strangers could
// keep as many connections and goroutines as there are files. Who is slow gets it.
func TestClientThatDoesNotRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // when the client begins to read
		whole bool
	}{{"slow", 50 * time.Second, true}, {"never", 5 * time.Minute, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &App{log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
				ln, ended := pipes{make(chan net.Conn), make(chan struct{})}, make(chan error, 1)
				a.serve("HTTP", ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, err := w.Write(make([]byte, 1<<20))
					ended <- err
				}), answerTimeout)
				client, server := net.Pipe()
				ln.conns <- server
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				<-time.After(tt.after)
				go io.Copy(io.Discard, client) //nolint:errcheck // the server says what became of it
				if err := <-ended; (err == nil) != tt.whole {
					t.Errorf("the answer: %v", err)
				}
				if err := errors.Join(client.Close(), a.unwind(context.Background())); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
