package chart_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// controlPlane is a kube-apiserver and its etcd on loopback. No controller, scheduler or
// kubelet runs, so what is created stays as it was sent.
type controlPlane struct {
	dir       string
	config    string // a kubeconfig of an administrator
	processes []*exec.Cmd
}

// startControlPlane returns once the API server is ready.
func startControlPlane(ctx context.Context) (_ *controlPlane, err error) {
	dir, err := os.MkdirTemp("", "vibemesh-chart")
	if err != nil {
		return nil, err
	}
	c := &controlPlane{dir: dir, config: filepath.Join(dir, "kubeconfig")}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	server := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	token := rand.Text()
	if err := c.writeFiles(server, token); err != nil {
		return nil, err
	}
	if err := c.start("etcd", "--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return nil, err
	}
	if err := c.start("kube-apiserver", "--etcd-servers", client, "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(ports[2]),
		"--advertise-address", "192.0.2.1", "--endpoint-reconciler-type", "none", // it is nobody's address: nothing is advertised
		"--cert-dir", c.path("certificates"), "--token-auth-file", c.path("tokens"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.path("accounts.key"),
		"--service-account-signing-key-file", c.path("accounts.key"), "--service-cluster-ip-range", "10.96.0.0/16"); err != nil {
		return nil, err
	}
	return c, c.ready(ctx)
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.dir, name) }

func (c *controlPlane) environment() []string {
	return append(os.Environ(), "KUBECONFIG="+c.config, "HELM_CACHE_HOME="+c.path("helm"), "HELM_CONFIG_HOME="+c.path("helm"), "HELM_DATA_HOME="+c.path("helm"))
}

func (c *controlPlane) writeFiles(server, token string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: test, user: {token: %q}}]
`, server, c.path("certificates/apiserver.crt"), token)
	return errors.Join(
		os.WriteFile(c.path("accounts.key"), text, 0o600),
		os.WriteFile(c.path("tokens"), []byte(token+",test,test,\"system:masters\"\n"), 0o600),
		os.WriteFile(c.config, []byte(config), 0o600))
}

// start runs a program until stop; what it logs is in a file, and shown if it is needed.
func (c *controlPlane) start(name string, args ...string) error {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(tool(name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing behind
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w; run scripts/ensure-kube", err)
	}
	c.processes = append(c.processes, cmd)
	return nil
}

func (c *controlPlane) ready(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.kubectl(ctx, "", "get", "--raw", "/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(c.path("kube-apiserver.log"))
			return fmt.Errorf("not ready: %w\n%s", err, log[max(0, len(log)-4000):])
		}
	}
}

func (c *controlPlane) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Process.Kill() //nolint:errcheck // it has ended by itself
		c.processes[i].Wait()         //nolint:errcheck // it was killed
	}
	os.RemoveAll(c.dir)
}

// kubectl runs kubectl as an administrator.
func (c *controlPlane) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return output(ctx, stdin, "kubectl", append([]string{"--kubeconfig", c.config}, args...)...)
}

// prepare makes what the cluster of somebody who installs the chart has: the kinds of
// others, a namespace of restricted pod security, and what values of the tests refer to.
func (c *controlPlane) prepare(ctx context.Context) error {
	files, err := definitions(ctx)
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side"}
	for _, f := range files {
		args = append(args, "-f", f)
	}
	if _, err := c.kubectl(ctx, "", args...); err != nil {
		return err
	}
	args = []string{"wait", "--for=condition=Established", "--timeout=60s"}
	for _, f := range files {
		args = append(args, "-f", f)
	}
	if _, err := c.kubectl(ctx, "", args...); err != nil {
		return err
	}
	_, err = c.kubectl(ctx, "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: important}, value: 1000}", "apply", "-f", "-")
	return errors.Join(err, c.namespace(ctx, namespace, "restricted"), c.namespace(ctx, "observability", "restricted"))
}

// namespace makes a namespace in which pods have to keep a level of pod security, and
// whatever makes pods that do not is warned of.
func (c *controlPlane) namespace(ctx context.Context, name, level string) error {
	_, err := c.kubectl(ctx, fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: "%[1]s", labels: {pod-security.kubernetes.io/enforce: %[2]s, pod-security.kubernetes.io/warn: %[2]s}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: "%[1]s"}}
`, name, level), "apply", "-f", "-")
	return err
}

// freePorts are ports on which nobody listened a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
