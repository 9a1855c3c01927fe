package docs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestCommands runs the blocks that are marked "sh runnable", each in a shell of
// its own, and compares the last line of the output with the JSON behind it.
func TestCommands(t *testing.T) {
	m := startMesh(t, "127.0.0.1:0", t.TempDir())
	ada := "http://" + m.addr + "/api/v1/ws/presence?user=ada&token=" + token(t, "ada")
	eventually(t, "known to the API, half a second after its start", func() bool { return strings.Contains(m.get(ada), `"complete":true`) })
	run, compared := 0, 0
	for _, page := range guides {
		blocks, _ := parse(t, page)
		for i, b := range blocks {
			if b.lang != "sh runnable" {
				continue
			}
			run++
			out := m.shell(t, b)
			if i+1 < len(blocks) && blocks[i+1].lang == "json" {
				compared++
				lines := strings.Split(strings.TrimSpace(out), "\n")
				if diff := cmp.Diff(masked(t, blocks[i+1].text), masked(t, lines[len(lines)-1])); diff != "" {
					t.Errorf("%s: the guide (-), the program (+)\n%s", blocks[i+1].at, diff)
				}
			}
		}
	}
	if run < 8 || compared < 6 {
		t.Errorf("only %d blocks were run, %d compared", run, compared)
	}
}

// TestCredentialsCommands runs what the text itself, such as a runbook, says of making users.
func TestCredentialsCommands(t *testing.T) {
	commands := regexp.MustCompile("`(vibemesh credentials --keys [^`]*)`")
	run := 0
	for _, page := range guides {
		_, prose := parse(t, page)
		for _, found := range commands.FindAllStringSubmatch(prose, -1) {
			run++
			dir := filepath.Join(t.TempDir(), "made")
			command := strings.NewReplacer("vibemesh", filepath.Join(bin, "vibemesh"), "DIR", dir, "ROLE", "edge").Replace(found[1])
			for _, line := range []string{filepath.Join(bin, "vibemesh") + " credentials --out " + dir, command} {
				args := strings.Fields(line)
				if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v\n%s", page, found[1], err, out)
				}
			}
		}
	}
	if run < 2 {
		t.Errorf("only %d commands were run", run)
	}
}

func (m *mesh) shell(t *testing.T, b block) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", m.local(b.text))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SV_SECRET="+secret, "SV_URL=http://"+m.addr, "NATS_URL=nats://"+m.nats,
		"HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir, "TZ=UTC")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s%s", b.at, err, out, &stderr)
	}
	return string(out)
}

// masked is a JSON text without what differs from run to run: of such values
// only the kind counts.
func masked(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("not JSON: %v\n%s", err, text)
	}
	var mask func(v any) any
	mask = func(v any) any {
		switch v := v.(type) {
		case []any:
			for i := range v {
				v[i] = mask(v[i])
			}
		case map[string]any:
			for name, value := range v {
				switch _, number := value.(float64); name {
				case "id", "cursor", "next", "up_to", "deliver_at":
					v[name] = "text"
				case "seq", "ts", "unread":
					v[name] = number
				case "complete": // half a second after its start an API knows all edges
					_, v[name] = value.(bool)
				default:
					v[name] = mask(value)
				}
			}
		}
		return v
	}
	return mask(v)
}

// TestFrames: every frame in the guide is one, byte for byte as it is sent.
func TestFrames(t *testing.T) {
	seen := map[string]bool{}
	blocks, _ := parse(t, "docs/app-developers.md")
	for _, b := range blocks {
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			switch b.lang {
			case "json client":
				f, err := wire.ParseClientFrame([]byte(line))
				if err != nil {
					t.Errorf("%s: %v\n%s", b.at, err, line)
				}
				seen[f.Type] = true
			case "json server":
				f, err := wire.ParseServerFrame([]byte(line))
				if err != nil {
					t.Errorf("%s: %v\n%s", b.at, err, line)
					continue
				}
				text := wire.AppendFrame(nil, f)
				if string(text) != line {
					t.Errorf("%s:\n%s\nis sent as\n%s", b.at, line, text)
				}
				var head struct{ Type string }
				if err := json.Unmarshal(text, &head); err != nil {
					t.Error(err)
				}
				seen[head.Type] = true
			}
		}
	}
	for _, typ := range []string{
		wire.FrameHello, wire.FrameGap, wire.FrameSubscribed, wire.FrameError, wire.FrameReconnect, wire.FramePong, wire.FrameRead, wire.TypeToast,
		wire.FramePing, wire.FrameAuth, wire.FrameSubscribe, wire.FrameUnsubscribe,
	} {
		if !seen[typ] {
			t.Errorf("the guide shows no %s frame", typ)
		}
	}
}
