//go:build linux

package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/cmd/meshbench/peers/internal/check"
)

func TestServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := check.Server(ctx, run, check.Speak{
		Connect: `{"id":1,"connect":{}}`, Hello: `{"id":1,"connect":{`,
		Text: func(m []byte) []byte {
			var reply struct {
				Push struct {
					Channel string
					Pub     struct{ Data json.RawMessage }
				}
			}
			if json.Unmarshal(m, &reply) != nil || reply.Push.Channel != channel {
				return nil
			}
			return reply.Push.Pub.Data
		},
	}, check.Plan{Sockets: 200, Paced: 4, Burst: 50})
	if err != nil {
		t.Error(err)
	}
}
