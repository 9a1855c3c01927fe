// Package client is the Go client of the contract: it holds one session with an
// edge ([Dial], [Conn]), or follows the log across sessions for as long as it
// is let ([Follow]).
//
// A Conn is one connection, from the upgrade to its close. Its errors say how it
// ended: [*UpgradeError] when HTTP refused it, [*CloseError] when a close frame
// ended it, anything else when the network did.
//
// Follow keeps the cursor of the last frame that was handled, and opens the next
// session from there. Before each new session it waits a random time between
// nothing and a limit that doubles from [MinBackoff] to [MaxBackoff] (full
// jitter), unless the server has named a time itself: after_ms of a reconnect
// frame, or Retry-After of a refusal. It stops when coming back cannot help:
// after a 4xx refusal, and after a close code of 4400–4499 unless that code is
// 4401 and the token source has another token to offer.
package client
