//go:build linux

package main

import (
	"math/bits"
	"time"
)

// hist counts durations in buckets whose width is 1/64 of their value or less.
// The first 128 are one nanosecond wide.
type hist struct {
	Counts map[int]int64 `json:"counts,omitempty"`
	N      int64         `json:"n"`
	Max    int64         `json:"max"` // exact, ns
}

const subBits = 6

func bucketOf(ns int64) int {
	if ns < 0 {
		ns = 0
	}
	shift := max(0, bits.Len64(uint64(ns))-subBits-1)
	return shift<<subBits + int(ns>>shift)
}

// bucketTop is the largest value of a bucket.
func bucketTop(i int) int64 {
	if i < 2<<subBits {
		return int64(i)
	}
	shift := i>>subBits - 1
	return (int64(i-shift<<subBits)+1)<<shift - 1
}

// recorder is a hist that is cheap to add to.
type recorder struct {
	counts [64 << subBits]int64
	n, max int64
}

func (r *recorder) add(ns int64) {
	r.counts[bucketOf(ns)]++
	r.n++
	r.max = max(r.max, ns)
}

// take empties the recorder into a hist.
func (r *recorder) take() hist {
	h := hist{Counts: map[int]int64{}, N: r.n, Max: r.max}
	for i, c := range r.counts {
		if c > 0 {
			h.Counts[i] = c
		}
	}
	*r = recorder{}
	return h
}

func (h *hist) merge(o hist) {
	if h.Counts == nil {
		h.Counts = map[int]int64{}
	}
	for i, c := range o.Counts {
		h.Counts[i] += c
	}
	h.N += o.N
	h.Max = max(h.Max, o.Max)
}

// quantile is the value that a share q of all do not exceed, to within 1/64.
func (h *hist) quantile(q float64) time.Duration {
	rank := int64(q*float64(h.N) + 0.5)
	rank = min(max(rank, 1), h.N)
	for i := range 64 << subBits {
		if rank -= h.Counts[i]; rank <= 0 {
			return time.Duration(min(bucketTop(i), h.Max))
		}
	}
	return time.Duration(h.Max)
}
