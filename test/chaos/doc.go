// Package chaos proves the promise of the mesh, no silent loss, against whole
// processes: three nats-servers that replicate the log, three edges and an API,
// which are killed, stopped, cut off and restarted while messages flow.
//
// # The model
//
// A [Subject] is one subject of the log with exactly one publisher, which numbers
// its messages 1, 2, 3… and publishes number n+1 only after n was acknowledged.
// It repeats a message under the same id until the acknowledgement comes. So what
// is in the log is known at any time but for one message: 1 to the last one
// acknowledged are stored, once each and in this order, and the next may be. The
// [Ledger] holds all subjects.
//
// A session is one client. It speaks the contract (the doc of internal/wire) and
// nothing else: it signs in before the first message is published, keeps the cursor of
// the last frame it handled, and when its connection ends, for whatever reason, it
// comes back to any edge with that cursor. Some sessions store their cursor only at
// times, as an app that is killed does, and so are sent again what they had; they
// know it by its id. A [Record] holds what a session received.
//
// # The check
//
// [Check] compares the two. Each number that was acknowledged on a subject is in
// the record of each session of its audience, once after de-duplication by
// id, and behind the numbers before it. Anything else is a [Finding]: lost, doubled
// (one number under two ids), disordered, repeated (although the cursor covered
// it), a gap that was said although nothing was removed, and what was never
// published, was for somebody else or is damaged. The checker is tested with
// records that hold each of them.
//
// # The run
//
// A [Fault] is one thing that breaks and heals. A run takes them in an order that its
// seed decides, with all targets and times, under load: a pause, the fault, then waiting until
// everybody is connected and has everything that was acknowledged. Each prints
// a [Row]. At the end publishing stops, the clients drain, and Check judges.
//
// # How things are broken
//
// Processes get signals. Every connection between an edge, the API or a publisher
// and a NATS node, and between two nodes, runs through a [Link], which can stop
// forwarding without closing, as a network does that loses all packets; or, where a
// run asks for it and root allows it, each process has a network namespace of its own. The disk of one node is filled
// or slowed by a [Gate] that answers its system calls in the kernel's place; the
// clock of a process is moved by writing into its vDSO. Where the system refuses
// one of these the row says skipped, and why.
package chaos
