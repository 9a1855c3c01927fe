package chart_test

import (
	"slices"
	"testing"
)

// TestBeginsToScale: an upgrade that leaves the number of pods to a scaler leaves those
// that there are. To name none where one was named would mean one, and send almost
// everybody away at once.
func TestBeginsToScale(t *testing.T) {
	for _, program := range []string{"helm", "helm3"} {
		t.Run(program, func(t *testing.T) {
			in := "scale-" + program
			if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
				t.Fatal(err)
			}
			change := func(command string, sets ...string) {
				t.Helper()
				args := []string{command, release}
				if command != "rollback" {
					args = append(args, chartDir, "--values", chartDir+"/ci/01-minimal-values.yaml")
				}
				for _, set := range sets {
					args = append(args, "--set", set)
				}
				if out, err := output(t.Context(), "", program, append(args, "--no-hooks", "--namespace", in)...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			holds := func(when string, want ...string) {
				t.Helper()
				var got []string
				for _, name := range []string{"vibemesh-edge", "vibemesh-api"} {
					n, err := cluster.kubectl(t.Context(), "", "get", "-n", in, "deployment", name, "-o", "jsonpath={.spec.replicas}")
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, n)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s there are %v edges and APIs, want %v", when, got, want)
				}
			}
			// For the scaler, which does not run here.
			scale := func(n string) {
				t.Helper()
				if out, err := cluster.kubectl(t.Context(), "", "scale", "-n", in, "deployment", "vibemesh-edge", "--replicas="+n); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			scaled := []string{"edge.autoscaling.kind=hpa", "api.autoscaling.enabled=true"}
			change("install", "edge.replicas=7")
			change("upgrade", scaled...)
			holds("when scaling begins", "7", "2")
			scale("9")
			change("upgrade", append(scaled, "settings.WS_PING_INTERVAL=30s")...)
			holds("in an upgrade after the scaler", "9", "2")
			change("upgrade", append(scaled, "settings.WS_PING_INTERVAL=40s")...)
			holds("in one more", "9", "2")
			change("upgrade", "edge.replicas=9")
			holds("when it has ended", "9", "2")
		})
	}
}

// TestScalesFromTheStart: a release that never named a number names none, so that going
// back does not take the pods back to a number of another day.
func TestScalesFromTheStart(t *testing.T) {
	in := "scale-from-the-start"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/05-hpa-values.yaml"}
	for _, command := range []string{"install", "upgrade"} {
		out, err := helm(t.Context(), in, append([]string{command}, args...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		manifest, err := helm(t.Context(), in, "get", "manifest", release)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parse(t, manifest).of("Deployment") {
			if dig(d, "spec", "replicas") != nil {
				t.Errorf("%s: %s names a number", command, d.id())
			}
		}
	}
}
