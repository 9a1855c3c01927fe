//go:build linux

// Meshbench measures what one edge costs: memory a connection, and handshakes
// and deliveries a second of CPU. Beside it, with the same client in the same
// run, it can measure a bare floor: the least that any program must do to hand
// the same frames to the same sockets.
//
// # What is measured
//
// A run holds N sockets of N users, u0 … uN-1, of an edge that meshbench starts out
// of a folder of programs (--bin), with one loop and NATS in a process of its own, or
// of one that runs already (--url). The users have development tokens (WS_AUTH=dev),
// or RS256 tokens with all that Firebase puts into one, signed before the run by a
// key whose certificate the edge fetches through a proxy of ours, at Google's
// address. They are kept in the user's cache folder for some hours. The client keeps one epoll a process, raw
// non-blocking sockets and no goroutine a socket; beyond 15,000 sockets it runs
// as several processes, and it spreads its source addresses over 127.0.0.2 and
// up, so that neither descriptors nor ports run out.
//
//   - Connect: TCP connect, upgrade, sign-in and the hello frame of every socket.
//   - Memory: VmRSS and RssAnon of the server before the first connect and a
//     while (--settle) after the last, divided by the sockets. Kernel memory
//     (the socket itself and its buffers) is no part of a process's RSS and is excluded.
//     Measure a server that has just been started: memory that it has grown to
//     before is used again and does not show.
//     By thirds, it is read with a third and two thirds of the sockets, too: the
//     slope from a third to all leaves out what a server needs in any case.
//   - Connect again: all leave, the server comes to rest, and all come back with the
//     tokens they had, and with cursors, but have missed nothing.
//   - Paced broadcasts: the next is published when every socket has the last.
//   - Burst: several are published at once, so that a server may put many
//     frames into one write.
//   - User messages: to one socket each, in turn, at a steady rate.
//   - Beside core NATS and the log alone: user messages, one at a time, and in turn
//     with them as many of the same bytes by core NATS, and as many that go to the log,
//     for a user who is not there, and from it to a consumer: a push consumer of that
//     user's subject, in memory, without acknowledgements or flow control, which is
//     deleted afterwards. All leave by one connection. What comes by core NATS and from
//     the consumer comes to one more socket in the client's epoll, which is read as the
//     others are. Edges read the consumer's messages as they read the whole log, and
//     find that they are for nobody. The log's acknowledgement is seen by a goroutine
//     of the publisher.
//   - Mixed: a broadcast a second to all, and messages to some users meanwhile. The
//     client reads the sockets of these before all others, so that what they wait
//     for is the server. With --pin they wait for NATS and the publisher as well,
//     which share the client's CPU.
//   - Resume: all sockets leave, the server comes to rest, broadcasts are published,
//     and all come back with their cursors: at the rate of connects, or as fast as
//     the server lets them, of which each client process has 256 handshakes under way.
//     Every hello must say resumed:true.
//   - Storm of connects, to an edge that has just been started: the most memory
//     that it had meanwhile (VmHWM, reset before) beside what it settles at.
//   - Slow sessions, on an edge with a small ring: some sockets stop reading while
//     broadcasts go on, until their buffers are full and the ring has turned past
//     them, and then read again. The server's kernel gives them less room than
//     loopback would have, since their segments are those of Ethernet. That edge
//     pings seldom: who does not read does not answer.
//   - Compression: another edge, whose clients offer permessage-deflate and inflate
//     what comes. Payloads are cut from English prose.
//
// # How
//
// CPU seconds are user and system time of the server process over a phase: the
// sum of the run times of its threads in /proc/<pid>/task/*/schedstat, exact to
// about a scheduler tick, or utime and stime of /proc/<pid>/stat (10 ms steps)
// when a thread has ended in between. Loopback TCP does the receiver's protocol
// work in the sender's system call, so it is the server that pays for it, edge
// and floor alike. NATS, the publisher and the client are excluded when they are other
// processes; a server with an embedded NATS is measured with it.
//
// Latency runs from just before the publish to the read that brought the frame,
// by CLOCK_MONOTONIC of the one machine. It includes the wait behind other sockets in
// the client's own epoll: the last of N sockets cannot be read sooner.
//
// Every message carries a number, and each socket must get each of its own
// exactly once and in order; otherwise the run fails (exit code 1).
//
// # The floor
//
// The floor is a process with one thread and one epoll. It answers every upgrade
// with one constant write (101 and a hello frame), and a broadcast is one loop of
// write(2) over all sockets, each with the same finished bytes, of the size the
// edge's frames had. --write raw uses RawSyscall, which the Go scheduler does not
// notice; --write syscall is syscall.Write, as ordinary Go code does it. The floor does not
// coalesce a burst; a server that does can do better than it there.
//
// # Compare
//
// meshbench compare measures the floor, an edge with one loop that it starts
// beside a NATS server in a process of its own, the floor by syscall.Write, and
// the servers of the nested module peers, with the same client and the same plan.
// They start and connect one after the other. Then all hold their sockets, and
// have their turns with broadcasts round by round, so that a machine that is
// slower for a while is slower for all; of a server's rounds the one in the middle
// counts. The servers share one CPU, on which only one has work at a time, but for
// pings. The peers are libraries, not products:
//
//   - nbio's upgrader in non-blocking mode, without keepalive, and a loop that
//     writes finished frames. It signs nobody in, and has no subscriptions.
//   - centrifuge's node with its memory broker and its own WebSocket handler. The
//     client speaks its JSON protocol: a connect command after the upgrade, whose
//     answer ends the handshake, and publications, of which a frame may hold many.
//     Every client has one channel, subscribed by the server. No token is read.
//
// Write calls are the kernel's count of the process (syscw in /proc/<pid>/io): the
// few that are no deliveries, such as those to NATS, are among them.
//
// Load goes to loopback addresses only.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Run          runCmd          `cmd:"" help:"Measure an edge, and with --floor the bare floor beside it."`
	Compare      compareCmd      `cmd:"" help:"Measure an edge, the bare floor, nbio and centrifuge one after the other."`
	CompareFloor compareFloorCmd `cmd:"" help:"Measure only the floor, in both ways of writing."`
	Million      millionCmd      `cmd:"" help:"Hold very many sockets, in one edge or several, and see that messages reach each."`
	Depth        depthCmd        `cmd:"" help:"Fill a log with the messages of very many users, and measure what reading their history costs."`
	Floor        floorCmd        `cmd:"" help:"Be the bare floor, a server in its own process."`
	Onlooker     onlooker        `cmd:"" hidden:"" help:"Publish beside a measurement of depth, until stdin ends."`
	Worker       workerCmd       `cmd:"" hidden:"" help:"Be one client process of a run; commands on stdin."`
}

func main() {
	var c cli
	k, err := kong.New(
		&c, kong.Name("meshbench"),
		kong.Description("Measure what holding sockets and delivering to them costs.\n\n"+
			"Exit codes: 0 measured, and every message arrived once and in order; 1 not so; 2 wrong usage."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "meshbench:", err)
		os.Exit(1)
	}
	command, err := k.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "meshbench: %v\nTry: meshbench --help\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "meshbench:", err)
		os.Exit(1)
	}
}
