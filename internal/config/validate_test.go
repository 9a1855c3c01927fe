package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/config"
)

var (
	run       = config.Role{Edge: true, API: true, Provision: true}
	edge      = config.Role{Edge: true}
	api       = config.Role{API: true}
	provision = config.Role{Provision: true}
)

type env map[string]string

// validate validates settings that are good but for those of e.
func validate(t *testing.T, e env, role config.Role) (config.Config, error) {
	t.Helper()
	all := env{"WS_AUTH": "dev", "WS_ADDR": "127.0.0.1:8080"}
	maps.Copy(all, e)
	c, err := parse(t, all)
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Validate(role)
}

func TestValidateAccepts(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(creds, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const cluster = "nats://nats-0:4222,tls://user:pass@nats-1:4222"
	for name, c := range map[string]struct {
		env  env
		role config.Role
	}{
		"dev on this machine":           {env{}, run},
		"dev on localhost":              {env{"WS_ADDR": "localhost:8080"}, run},
		"dev on another loopback":       {env{"WS_ADDR": "127.8.8.8:0"}, run},
		"dev on IPv6 loopback":          {env{"WS_ADDR": "[::1]:8080"}, run},
		"dev beside the emulator":       {env{"WS_ADDR": ":8080", "FIREBASE_AUTH_EMULATOR_HOST": "emulator:9099"}, run},
		"firebase, everywhere":          {env{"WS_AUTH": "firebase", "FIREBASE_PROJECT_ID": "vibes", "WS_ADDR": "0.0.0.0:443"}, run},
		"an edge of a cluster":          {env{"WS_NATS_URL": cluster, "WS_REPLICAS": "3", "WS_NATS_CREDS": creds}, edge},
		"a cluster by TLS":              {env{"WS_NATS_URL": cluster, "WS_NATS_CA": creds, "WS_NATS_CERT": creds, "WS_NATS_KEY": creds}, edge},
		"an API of a cluster":           {env{"WS_NATS_URL": cluster, "WS_REPLICAS": "5"}, api},
		"provision needs no sign-in":    {env{"WS_NATS_URL": cluster, "WS_AUTH": "firebase", "WS_ADDR": "nowhere"}, provision},
		"with a cluster, no own server": {env{"WS_NATS_URL": cluster, "WS_NATS_LISTEN": "0.0.0.0:4222"}, run},
		"the own server, unheard":       {env{"WS_NATS_LISTEN": ""}, run},
		"no ops listener":               {env{"WS_OPS_ADDR": ""}, run},
		"all partitions":                {env{"WS_PARTITIONS": "256", "WS_READ_MIRROR": "true", "WS_ALLOW_DATA_LOSS": "true"}, run},
		"nothing runs, no NATS":         {env{"WS_PARTITIONS": "4"}, config.Role{}},
		"a prefix of two tokens":        {env{"WS_SUBJECT_PREFIX": "acme.sv"}, run},
		"origins":                       {env{"WS_ALLOWED_ORIGINS": "https://app.example.com,http://localhost:5173/,capacitor://localhost"}, run},
		"every origin":                  {env{"WS_ALLOWED_ORIGINS": "*"}, run},
		"the least of everything": {env{
			"WS_HISTORY_SIZE": "0", "WS_HISTORY_AGE": "1m", "WS_HISTORY_BYTES": "0", "WS_REPLAY_LIMIT": "1", "WS_RING_BYTES": "256KiB",
			"WS_CONNECTION_THRESHOLD": "0", "WS_LOOPS": "0", "WS_PING_INTERVAL": "1s", "WS_DRAIN_TIMEOUT": "0s", "WS_PUBLISH_SECRET": "0123456789abcdef",
		}, run},
		"the most of everything": {env{
			"WS_HISTORY_SIZE": "1000", "WS_HISTORY_AGE": "87600h", "WS_HISTORY_BYTES": "8000TiB", "WS_REPLAY_LIMIT": "100000", "WS_RING_BYTES": "2147483647",
			"WS_CONNECTION_THRESHOLD": "2147483647", "WS_LOOPS": "1024", "WS_PING_INTERVAL": "10m", "WS_DRAIN_TIMEOUT": "1h",
		}, run},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := validate(t, c.env, c.role); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every refusal names the variable and says what to do. Each of want is in the
// error, which has one line.
func TestValidateRefuses(t *testing.T) {
	const hostPort = "use HOST:PORT or :PORT, such as :8080"
	own := "only `vibemesh run` brings its own nats-server; give the cluster's, such as nats://127.0.0.1:4222"
	for name, c := range map[string]struct {
		env  env
		role config.Role
		want []string
	}{
		"prefix with a wildcard":     {env{"WS_SUBJECT_PREFIX": "sv.>"}, run, []string{`WS_SUBJECT_PREFIX "sv.>"`, "use letters, digits, _ and -", "such as sv or acme.sv"}},
		"empty prefix":               {env{"WS_SUBJECT_PREFIX": ""}, run, []string{`WS_SUBJECT_PREFIX ""`, "such as sv"}},
		"NATS without scheme":        {env{"WS_NATS_URL": "nats-0:4222"}, edge, []string{`WS_NATS_URL "nats-0:4222"`, "use URLs such as nats://nats-0:4222"}},
		"NATS list with a space":     {env{"WS_NATS_URL": "nats://a:4222, nats://b:4222"}, edge, []string{`WS_NATS_URL " nats://b:4222"`, "use URLs such as"}},
		"two replicas":               {env{"WS_NATS_URL": "nats://a:4222", "WS_REPLICAS": "2"}, edge, []string{"WS_REPLICAS 2", "1, 3 or 5"}},
		"replicas of its own":        {env{"WS_REPLICAS": "3"}, run, []string{"WS_REPLICAS 3", "give a cluster in WS_NATS_URL, or leave it at 1"}},
		"credentials not there":      {env{"WS_NATS_URL": "nats://a:4222", "WS_NATS_CREDS": "/nowhere/creds"}, edge, []string{"WS_NATS_CREDS", "/nowhere/creds", "no such file"}},
		"credentials are a folder":   {env{"WS_NATS_URL": "nats://a:4222", "WS_NATS_CREDS": "."}, edge, []string{"WS_NATS_CREDS", "is a directory"}},
		"authority not there":        {env{"WS_NATS_URL": "nats://a:4222", "WS_NATS_CA": "/nowhere/ca"}, edge, []string{"WS_NATS_CA", "/nowhere/ca", "no such file"}},
		"certificate without key":    {env{"WS_NATS_URL": "nats://a:4222", "WS_NATS_CERT": "validate_test.go"}, edge, []string{"WS_NATS_CERT and WS_NATS_KEY go together"}},
		"key without certificate":    {env{"WS_NATS_URL": "nats://a:4222", "WS_NATS_KEY": "validate_test.go"}, edge, []string{"WS_NATS_CERT and WS_NATS_KEY go together"}},
		"TLS with its own NATS":      {env{"WS_NATS_CA": "validate_test.go"}, run, []string{"WS_NATS_CA and WS_NATS_CERT are for a cluster"}},
		"no partition":               {env{"WS_PARTITIONS": "0"}, run, []string{"WS_PARTITIONS 0", "from 1 to 256 partitions"}},
		"too many partitions":        {env{"WS_PARTITIONS": "257"}, config.Role{}, []string{"WS_PARTITIONS 257", "from 1 to 256 partitions"}},
		"edge alone":                 {env{}, edge, []string{"WS_NATS_URL is empty", own}},
		"API alone":                  {env{}, api, []string{"WS_NATS_URL is empty", own}},
		"provision alone":            {env{}, provision, []string{"WS_NATS_URL is empty", own}},
		"own server on the network":  {env{"WS_NATS_LISTEN": "0.0.0.0:4222"}, run, []string{`WS_NATS_LISTEN "0.0.0.0:4222"`, "asks nobody who they are", "such as 127.0.0.1:4222", "WS_NATS_URL"}},
		"own server on every host":   {env{"WS_NATS_LISTEN": ":4222"}, run, []string{`WS_NATS_LISTEN ":4222"`, "loopback address only"}},
		"own server without port":    {env{"WS_NATS_LISTEN": "127.0.0.1"}, run, []string{`WS_NATS_LISTEN "127.0.0.1"`, "such as 127.0.0.1:4222"}},
		"no port":                    {env{"WS_ADDR": "127.0.0.1", "WS_AUTH": "firebase", "FIREBASE_PROJECT_ID": "p"}, run, []string{`WS_ADDR "127.0.0.1"`, hostPort}},
		"no address":                 {env{"WS_ADDR": "", "WS_AUTH": "firebase", "FIREBASE_PROJECT_ID": "p"}, run, []string{`WS_ADDR ""`, hostPort}},
		"port too large":             {env{"WS_ADDR": "127.0.0.1:65536"}, run, []string{`WS_ADDR "127.0.0.1:65536"`, hostPort}},
		"port with a name":           {env{"WS_ADDR": "127.0.0.1:http"}, run, []string{`WS_ADDR "127.0.0.1:http"`, hostPort}},
		"ops port negative":          {env{"WS_OPS_ADDR": "127.0.0.1:-1"}, run, []string{`WS_OPS_ADDR "127.0.0.1:-1"`, hostPort}},
		"origin without scheme":      {env{"WS_ALLOWED_ORIGINS": "app.example.com"}, run, []string{`WS_ALLOWED_ORIGINS "app.example.com"`, "such as https://app.example.com, or *"}},
		"origin with a path":         {env{"WS_ALLOWED_ORIGINS": "https://app.example.com/chat"}, run, []string{`WS_ALLOWED_ORIGINS "https://app.example.com/chat"`, "a scheme and a host"}},
		"firebase without project":   {env{"WS_AUTH": "firebase"}, run, []string{"FIREBASE_PROJECT_ID is empty", "name the Firebase project", "WS_AUTH=dev WS_ADDR=127.0.0.1:8080"}},
		"dev on every host":          {env{"WS_ADDR": ":8080"}, run, []string{`WS_AUTH=dev on WS_ADDR ":8080"`, "anybody on the network", "use 127.0.0.1:8080, or WS_AUTH=firebase", "FIREBASE_AUTH_EMULATOR_HOST"}},
		"dev on the network":         {env{"WS_ADDR": "192.168.1.7:8080"}, run, []string{"WS_AUTH=dev", "use 127.0.0.1:8080"}},
		"dev on a named host":        {env{"WS_ADDR": "example.com:8080"}, run, []string{"WS_AUTH=dev", "use 127.0.0.1:8080"}},
		"short secret":               {env{"WS_PUBLISH_SECRET": "hunter2"}, run, []string{"WS_PUBLISH_SECRET", "7 characters", "use 16 or more, such as from `openssl rand -hex 24`"}},
		"topics by nobody":           {env{"WS_TOPICS": "claim", "WS_TOPIC_CLAIM": ""}, run, []string{"WS_TOPIC_CLAIM is empty", "such as topics"}},
		"secret header of two words": {env{"WS_PUBLISH_HEADER": "X KEY"}, run, []string{"WS_PUBLISH_HEADER", "such as X-SV-KEY"}},
		"no data folder":             {env{"WS_DATA_DIR": ""}, run, []string{"WS_DATA_DIR", "such as ./data"}},
		"not a scheme of NATS":       {env{"WS_NATS_URL": "https://nats:4222"}, edge, []string{"WS_NATS_URL", "nats://"}},
		"empty secret in a list":     {env{"WS_PUBLISH_SECRET": "0123456789abcdef,,fedcba9876543210"}, run, []string{"WS_PUBLISH_SECRET", "0 characters"}},
		"history too short":          {env{"WS_HISTORY_AGE": "59s"}, run, []string{"WS_HISTORY_AGE 59s", "a minute at least, such as 720h"}},
		"history size below":         {env{"WS_HISTORY_SIZE": "-1"}, run, []string{"WS_HISTORY_SIZE is -1", "from 0 to 1000"}},
		"history size above":         {env{"WS_HISTORY_SIZE": "1001"}, run, []string{"WS_HISTORY_SIZE is 1001", "from 0 to 1000"}},
		"replay below":               {env{"WS_REPLAY_LIMIT": "0"}, run, []string{"WS_REPLAY_LIMIT is 0", "from 1 to 100000"}},
		"replay above":               {env{"WS_REPLAY_LIMIT": "100001"}, run, []string{"WS_REPLAY_LIMIT is 100001", "from 1 to 100000"}},
		"ring too small":             {env{"WS_RING_BYTES": "255KiB"}, run, []string{"WS_RING_BYTES is 261120", "from 262144 to 2147483647"}},
		"ring too large":             {env{"WS_RING_BYTES": "2GiB"}, run, []string{"WS_RING_BYTES is 2147483648", "from 262144 to 2147483647"}},
		"threshold":                  {env{"WS_CONNECTION_THRESHOLD": "-1"}, run, []string{"WS_CONNECTION_THRESHOLD is -1", "from 0 to"}},
		"loops":                      {env{"WS_LOOPS": "1025"}, run, []string{"WS_LOOPS is 1025", "from 0 to 1024"}},
		"slice":                      {env{"WS_SLICE": "0"}, run, []string{"WS_SLICE is 0", "from 1 to"}},
		"a certificate without key":  {env{"WS_TLS_CERT": "cert.pem"}, run, []string{"WS_TLS_CERT and WS_TLS_KEY go together"}},
		"a key without certificate":  {env{"WS_TLS_KEY": "key.pem"}, run, []string{"WS_TLS_CERT and WS_TLS_KEY go together"}},
		"rate below":                 {env{"WS_CONNECTION_RATE": "-1"}, run, []string{"WS_CONNECTION_RATE -1", "0 (no limit)"}},
		"rate not a number":          {env{"WS_ADDRESS_RATE": "NaN"}, run, []string{"WS_ADDRESS_RATE NaN", "0 (no limit)"}},
		"connections of an address":  {env{"WS_ADDRESS_CONNECTIONS": "-1"}, run, []string{"WS_ADDRESS_CONNECTIONS is -1", "from 0 to"}},
		"ping too often":             {env{"WS_PING_INTERVAL": "999ms"}, run, []string{"WS_PING_INTERVAL (seconds) is 0", "from 1 to 600"}},
		"ping too seldom":            {env{"WS_PING_INTERVAL": "601s"}, run, []string{"WS_PING_INTERVAL (seconds) is 601", "from 1 to 600"}},
		"drain":                      {env{"WS_DRAIN_TIMEOUT": "2h"}, run, []string{"WS_DRAIN_TIMEOUT (seconds) is 7200", "from 0 to 3600"}},
		"drain below":                {env{"WS_DRAIN_TIMEOUT": "-1s"}, run, []string{"WS_DRAIN_TIMEOUT (seconds) is -1", "from 0 to 3600"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := validate(t, c.env, c.role)
			if err == nil {
				t.Fatalf("accepted; want %q", c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one error for one mistake:\n%v", err)
			}
			if secret := c.env["WS_PUBLISH_SECRET"]; secret != "" && strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// All mistakes are told at once, a line each.
func TestValidateTellsEveryMistake(t *testing.T) {
	_, err := validate(t, env{
		"WS_ADDR": ":8080", "WS_OPS_ADDR": "9090", "WS_SUBJECT_PREFIX": "*", "WS_HISTORY_AGE": "1s", "WS_LOOPS": "-1",
		"WS_PUBLISH_SECRET": "a,b",
	}, run)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 7 {
		t.Errorf("%d lines, want 7:\n%v", len(lines), err)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "WS_") {
			t.Errorf("%q does not begin with the variable", line)
		}
	}
}

func TestNodeIsTheHostUnlessNamed(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := validate(t, env{}, run); err != nil || c.Node != host {
		t.Errorf("node %q, error %v; want %q", c.Node, err, host)
	}
	if c, err := validate(t, env{"WS_NODE": "edge-7"}, run); err != nil || c.Node != "edge-7" {
		t.Errorf("node %q, error %v; want edge-7", c.Node, err)
	}
}
