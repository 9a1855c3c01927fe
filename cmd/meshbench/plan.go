//go:build linux

package main

import (
	"errors"
	"time"
)

// plan is what one run does; both the edge and the floor are put through it.
type plan struct {
	Sockets     int           `help:"Sockets to hold." default:"1000"`
	ConnectRate float64       `help:"Connections started a second." default:"2000"`
	Broadcasts  int           `help:"Paced broadcasts; 0: none." default:"20"`
	Burst       int           `help:"Broadcasts published at once; 0: none." default:"50"`
	Size        int           `help:"Bytes of a toast's payload." default:"256"`
	Settle      time.Duration `help:"Wait between the last connect and reading the server's memory." default:"10s"`
	Wait        time.Duration `help:"Longest wait for the last delivery of a phase." default:"30s"`
}

func (p plan) check() error {
	switch {
	case p.Sockets < 1 || p.Sockets > 4_000_000:
		return errors.New("--sockets must be 1 to 4000000")
	case p.ConnectRate < 1:
		return errors.New("--connect-rate must be 1 or more")
	case p.Broadcasts < 0 || p.Burst < 0:
		return errors.New("--broadcasts and --burst must not be negative")
	case p.Size > 60_000:
		return errors.New("--size must be at most 60000, so that the envelope stays below its limit")
	}
	return nil
}

// spread is how long things took.
type spread struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
}

func spreadOf(h hist) spread {
	return spread{P50MS: ms(h.quantile(.5)), P99MS: ms(h.quantile(.99)), MaxMS: ms(time.Duration(h.Max))}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// phase is what one part of a run took.
type phase struct {
	Messages   int     `json:"messages,omitempty"`
	Count      int64   `json:"count"` // handshakes or deliveries
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"` // of the server; 0 without its process id
	PerCPU     float64 `json:"per_cpu_second,omitempty"`
	Writes     int64   `json:"write_calls,omitempty"` // write(2) and the like, of the whole server; 0: unknown
	WireBytes  float64 `json:"wire_bytes,omitempty"`  // of one delivery, its frame's head included
	spread
}

// measure is everything about one server.
type measure struct {
	Name       string           `json:"name"`
	Sockets    int              `json:"sockets"`
	FrameBytes int              `json:"frame_bytes,omitempty"` // of a broadcast's text, as it arrived
	Before     memory           `json:"memory_before"`
	Thirds     []memory         `json:"memory_thirds,omitempty"` // with a third, two thirds and all of the sockets
	After      memory           `json:"memory_after"`
	Connect    *phase           `json:"connect,omitempty"`
	Again      *phase           `json:"again,omitempty"`
	Paced      *phase           `json:"paced,omitempty"`
	Burst      *phase           `json:"burst,omitempty"`
	Users      *phase           `json:"users,omitempty"`
	Latency    *latency         `json:"latency,omitempty"`
	Mixed      *mixed           `json:"mixed,omitempty"`
	Resume     *comeback        `json:"resume,omitempty"`
	Storm      *comeback        `json:"resume_storm,omitempty"`
	Peak       *peak            `json:"peak,omitempty"`
	Slow       *slow            `json:"slow,omitempty"`
	Faults     map[string]int64 `json:"faults,omitempty"`
}
