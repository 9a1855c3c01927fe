// Package nats holds the definitions of what Vibemesh keeps in NATS, as the JSON
// that NATS itself and its tools read. What depends on settings is not in them:
// names, subjects, replicas and retention.
package nats

import _ "embed"

// Stream is the configuration of the log, or of each of its partitions.
//
//go:embed stream.json
var Stream []byte

// Mirror is the configuration of a partition's read mirror.
//
//go:embed mirror.json
var Mirror []byte

// Revoked is the configuration of the stream behind the key-value bucket that holds
// which tokens are refused.
//
//go:embed revoked.json
var Revoked []byte

// Permissions says who may publish and subscribe to what, by role.
//
//go:embed permissions.json
var Permissions []byte
