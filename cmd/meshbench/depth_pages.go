//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// readersAtOnce is how many ask for pages at the same time, where not one by one.
const readersAtOnce = 16

// coldPages restarts NATS, and reads a page of each partition.
func (d *diver) coldPages(ctx context.Context) error {
	if d.Cold == 0 {
		return nil
	}
	// NATS reads what is younger than the window of duplicates when it starts, and
	// would know it.
	if wait := time.Until(d.filled.At.Add(d.window)); wait > 0 {
		d.note("waiting %v, until NATS does not read the newest when it starts\n", wait.Round(time.Second))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	random := newRandom()
	var all readings
	d.out.PagesDropped = d.DropPages
	for range d.Cold {
		if err := d.stop(); err != nil {
			return err
		}
		if d.out.PagesDropped {
			d.out.PagesDropped = dropPages()
		}
		if err := d.up(ctx); err != nil {
			return err
		}
		d.out.NATSStart.add(d.log.took)
		users := d.usersApart(random)
		r, err := d.readPages(ctx, users, 1)
		if err != nil {
			return err
		}
		all.merge(r)
	}
	d.out.add("cold pages, one at a time", all)
	return nil
}

// duplicateWindow is the one of the log's definition.
const duplicateWindow = 2 * time.Minute

// usersApart are users of whom no two share a partition.
func (d *diver) usersApart(random *rand.Rand) []string {
	subjects, taken := d.subjects.Partitioned(d.Partitions), map[int]bool{}
	var users []string
	for len(users) < min(d.Partitions, d.Pages) {
		uid := d.userID(random)
		if p := subjects.Partition(wire.User(uid)); !taken[p] {
			taken[p] = true
			users = append(users, uid)
		}
	}
	return users
}

// warmPages reads pages of users chosen at random, after as many that warm NATS up, and
// publishes beside those that are read at once.
func (d *diver) warmPages(ctx context.Context) error {
	random := newRandom()
	some := func() (users []string) {
		for range d.Pages {
			users = append(users, d.userID(random))
		}
		return users
	}
	if _, err := d.readPages(ctx, some(), 1); err != nil {
		return err
	}
	one, err := d.readPages(ctx, some(), 1)
	if err != nil {
		return err
	}
	d.out.add("warm pages, one at a time", one)
	var many readings
	err = d.beside(ctx, "publishing beside pages", func() (err error) {
		many, err = d.readPages(ctx, some(), readersAtOnce)
		return err
	})
	d.out.add(fmt.Sprintf("warm pages, %d at a time", readersAtOnce), many)
	return err
}

// readings are what reading took.
type readings struct {
	took    hist
	events  int64   // read in all
	seconds float64 // of the whole
	cpu     float64 // of NATS meanwhile, seconds
}

func (r *readings) merge(o readings) {
	r.took.merge(o.took)
	r.events += o.events
	r.seconds += o.seconds
	r.cpu += o.cpu
}

// measured times do, and NATS meanwhile.
func (d *diver) measured(do func(took *recorder, events *atomic.Int64) error) (r readings, err error) {
	before, err := sampleCPU(d.log.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	var took recorder
	var events atomic.Int64
	began := time.Now()
	if err := do(&took, &events); err != nil {
		return r, err
	}
	r = readings{seconds: time.Since(began).Seconds(), took: took.take(), events: events.Load()}
	after, err := sampleCPU(d.log.cmd.Process.Pid)
	r.cpu = cpuBetween(before, after)
	return r, err
}

// readPages reads the first page of each user, so many at a time.
func (d *diver) readPages(ctx context.Context, users []string, atOnce int) (readings, error) {
	c := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	return d.measured(func(took *recorder, events *atomic.Int64) error {
		var mu sync.Mutex
		return atOnceEach(ctx, users, atOnce, func(ctx context.Context, uid string) error {
			began := time.Now()
			n, err := d.page(ctx, &c, uid)
			if err != nil {
				return err
			}
			mu.Lock()
			took.add(time.Since(began).Nanoseconds())
			mu.Unlock()
			events.Add(int64(n))
			return nil
		})
	})
}

// page reads the first page of a user's history, and says how many events it has.
func (d *diver) page(ctx context.Context, c *http.Client, uid string) (events int, err error) {
	token, err := auth.MintDev(auth.DevClaims{UID: uid, TTL: tokenLife}, time.Now())
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.api.addr+"/api/v1/ws/history", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("a page of %s: %s: %.300s", uid, resp.Status, raw)
	}
	var page struct{ Events []json.RawMessage }
	if err := json.Unmarshal(raw, &page); err != nil {
		return 0, fmt.Errorf("a page of %s: %w", uid, err)
	}
	return len(page.Events), nil
}

// atOnceEach calls do for each of the users, so many at a time, until one fails.
func atOnceEach(ctx context.Context, users []string, atOnce int, do func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan string)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for uid := range next {
				if err := do(ctx, uid); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, uid := range users {
		select {
		case next <- uid:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// newRandom chooses others each time: a log that is kept is to be read elsewhere.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
