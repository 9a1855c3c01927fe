package publish

import "context"

// Probes is how many ids countPartitions asks for.
const Probes = probes

// CountOf is countOf.
var CountOf = countOf

// Believe lets a publisher take the log for one of so many partitions.
func (p *Publisher) Believe(partitions int) { p.partitions.Store(int32(partitions)) }

// CountPartitions is countPartitions.
func (p *Publisher) CountPartitions(ctx context.Context) (int, error) { return p.countPartitions(ctx) }
