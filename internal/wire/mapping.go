package wire

import "fmt"

// Mapping is a subject mapping of a NATS account, in the words of its configuration.
type Mapping struct{ From, To string }

// Mappings bring what is published to the partition that stores it; none for a log of one
// partition. They are the account's, so that publishers know nothing of partitions;
// Partition computes what they do.
func (s Subjects) Mappings() []Mapping {
	if s.Partitions() == 1 {
		return nil
	}
	ws, log := s.Prefix()+".ws.", s.Prefix()+".log."
	return []Mapping{
		{ws + "broadcast", log + "0.broadcast"},
		{ws + "*.*", fmt.Sprintf("%s{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", log, s.Partitions())},
	}
}
