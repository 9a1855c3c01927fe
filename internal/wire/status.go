package wire

import "time"

// EdgeStatus is what an edge answers to the order "status".
type EdgeStatus struct {
	Node      string    `json:"node"`
	Version   string    `json:"version"` // of the program
	Started   time.Time `json:"started"`
	Sessions  int       `json:"sessions"` // signed in now
	Draining  bool      `json:"draining"`
	CaughtUp  bool      `json:"caught_up"` // the tail has reached the head of the log since it began
	Lag       uint64    `json:"lag"`       // messages that the tail is behind the log, as far as known
	RingBytes int       `json:"ring_bytes"`
	RingSpan  float64   `json:"ring_span_seconds"` // age of the oldest entry in the ring; 0 when it is empty
	Delivered uint64    `json:"delivered"`         // events written to sockets since Started
}

// LogStatus is what the log holds, all its partitions together.
type LogStatus struct {
	Partitions int
	Messages   uint64
	Bytes      uint64 // on one server's disk
	Last       uint64 // the newest sequence; of several partitions their sum
	// Oldest is when the oldest message was stored, without older ones that wait for their
	// time; zero when there is none.
	Oldest time.Time
}
