// Package nats holds the definitions of what Vibemesh keeps in NATS, as the JSON
// that NATS itself and its tools read.
package nats

import _ "embed"

// Stream is the configuration of the log, but for what depends on settings: its
// name, subjects, replicas and retention.
//
//go:embed stream.json
var Stream []byte
