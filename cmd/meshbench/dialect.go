//go:build linux

package main

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// dialect is in what a server's protocol differs for a client that only listens.
type dialect struct {
	connect []byte // a text to send once upgraded; nil: none
	hello   []byte // how the first message begins
	ping    []byte // a message that is sent back as it is; it implies many messages a frame
}

// Names of dialects.
const (
	speakVibemesh   = ""
	speakCentrifuge = "centrifuge"
)

// dialects are what a worker can speak. Centrifuge's has a message a line, and
// as many lines in a frame as its writer found in the client's queue.
var dialects = map[string]dialect{
	speakVibemesh: {hello: []byte(`{"type":"hello"`)},
	speakCentrifuge: {
		connect: []byte(`{"id":1,"connect":{}}`), hello: []byte(`{"id":1,"connect":{`), ping: []byte(`{}`),
	},
}

// centrifugeAround is what centrifuge writes around the data of a publication.
const centrifugeAround = len(`{"push":{"channel":"all","pub":{"data":}}}`)

// introduce says what a client must say after the upgrade.
func (w *worker) introduce(s *sock) bool {
	return w.speak.connect == nil || w.sendText(s, w.speak.connect)
}

// sendText writes a short frame. A socket that has never been written to but for
// the request has room for it.
func (w *worker) sendText(s *sock, text []byte) bool {
	frame := appendMasked(nil, opText, text)
	n, _ := unix.Write(int(s.fd), frame)
	return n == len(frame)
}

// messages handles the messages of one text frame.
func (w *worker) messages(i int, frame []byte, now int64) (fault string) {
	if w.speak.ping == nil {
		return w.text(i, frame, now)
	}
	for len(frame) > 0 && fault == "" {
		var line []byte
		line, frame, _ = bytes.Cut(frame, []byte("\n"))
		switch {
		case !bytes.Equal(line, w.speak.ping):
			fault = w.text(i, line, now)
		case !w.sendText(&w.socks[i], line):
			fault = "cannot answer a ping"
		}
	}
	return fault
}
