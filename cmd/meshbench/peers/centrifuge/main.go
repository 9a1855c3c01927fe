//go:build linux

// Centrifuge is a server on github.com/centrifugal/centrifuge for meshbench to
// measure: one node with its memory broker, and its own WebSocket handler, hub,
// queues and writers, all by their defaults. Clients speak its own JSON protocol,
// as its SDKs do: a connect command, whose reply is their hello, and publications.
//
// Every client is a user of its own, and the server subscribes it to one channel
// when it connects, which spares the library a command a client. It is less than
// a mesh's edge: no token is read, there is no broker behind it, and the channel
// keeps no history, so that nobody can resume. It pings by its default of 25 s.
// A broadcast counts as taken when the node has put it into the clients' queues.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/socialvibes/vibemesh/cmd/meshbench/peers/internal/peer"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

// channel is what everybody is subscribed to.
const channel = "all"

// run serves until stdin ends.
func run(stdin io.Reader, stdout io.Writer) (err error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return fmt.Errorf("making the node: %w", err)
	}
	var users atomic.Int64
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: "u" + strconv.FormatInt(users.Add(1), 10)},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	l, err := peer.Listen()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+peer.Path, centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	err = peer.Serve(l.Addr().String(), stdin, stdout, func(text []byte) error {
		_, err := node.Publish(channel, text)
		return err
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = errors.Join(err, node.Shutdown(ctx), srv.Close())
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
