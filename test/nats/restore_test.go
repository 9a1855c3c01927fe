package nats_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// TestRestoreIsOneLife: a log that was restored into a cluster as the guide says is as old on
// each server, so that another leader is no new life of it. One that is restored with three
// replicas is not: nats-server gives the copy of the server that restores another time.
func TestRestoreIsOneLife(t *testing.T) {
	dir := install(t, 1)
	tls, _, servers, url := three(t, dir)
	args := []string{"--ws-replicas=3", "--ws-nats-ca=" + filepath.Join(tls, "ca.crt")}
	start(t, dir, url, "provision", args...)
	api := start(t, dir, url, "api", args...)
	request(t, api, http.MethodPost, "toast", `{"title":"kept"}`, 201)

	backupAs(t, as(t, dir, url, "backup", nats.RootCAs(filepath.Join(tls, "ca.crt"))), "SV_LOG", oneReplica)
	start(t, dir, url, "provision", args...)
	var lives map[string]time.Time
	eventually(t, "three copies", func() bool {
		lives = livesOf(t, servers, "SV_LOG")
		return len(lives) == 3
	})
	for name, life := range lives {
		if !life.Equal(lives["nats-0"]) {
			t.Errorf("%s has the log of %v, nats-0 of %v", name, life, lives["nats-0"])
		}
	}
}

// oneReplica is what `nats backup restore stream DIR --replicas 1` makes of a configuration.
func oneReplica(config json.RawMessage) json.RawMessage {
	return regexp.MustCompile(`"num_replicas":\s*3`).ReplaceAll(config, []byte(`"num_replicas":1`))
}

// livesOf is when a stream was made, as each server that has a copy of it says.
func livesOf(t *testing.T, servers []*natsd.Server, stream string) map[string]time.Time {
	t.Helper()
	lives := map[string]time.Time{}
	for _, s := range servers {
		z, err := s.Jsz(&natsd.JSzOptions{Accounts: true, Streams: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range z.AccountDetails {
			for _, found := range account.Streams {
				if found.Name == stream {
					lives[s.Name()] = found.Created
				}
			}
		}
	}
	return lives
}

// TestGuideRestoresOneReplica: wherever operators are told to restore, it is so.
func TestGuideRestoresOneReplica(t *testing.T) {
	guide, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("`nats backup restore [^`]*`").FindAllString(string(guide), -1)
	if len(commands) < 2 {
		t.Errorf("the guide restores by %q", commands)
	}
	for _, c := range commands {
		if !strings.Contains(c, "--replicas 1") {
			t.Errorf("%s: a stream of several replicas is restored with two ages", c)
		}
	}
}
