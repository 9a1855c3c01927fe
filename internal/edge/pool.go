package edge

import (
	"context"
	"sync"
)

// pool runs what may block (signing in, reading the stream) on a bounded number
// of goroutines, with a bounded number of jobs waiting.
type pool struct {
	ctx  context.Context
	jobs chan func(ctx context.Context)
	wg   sync.WaitGroup
}

func newPool(ctx context.Context, workers, waiting int) *pool {
	p := &pool{ctx: ctx, jobs: make(chan func(context.Context), waiting)}
	for range workers {
		p.wg.Go(p.work)
	}
	return p
}

func (p *pool) work() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case job := <-p.jobs:
			job(p.ctx)
		}
	}
}

// try queues a job, or reports that too many wait already.
func (p *pool) try(job func(ctx context.Context)) bool {
	select {
	case p.jobs <- job:
		return true
	default:
		return false
	}
}

func (p *pool) wait() { p.wg.Wait() }
