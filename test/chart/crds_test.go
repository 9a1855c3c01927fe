package chart_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sources are the Go modules that hold the definitions of the kinds that are not
// Kubernetes' own. Sum is what the checksum database has of each.
var sources = []struct {
	module, sum string
	files       []string
}{
	{
		"github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
		[]string{
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		},
	},
	{
		"github.com/kedacore/keda/v2@v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
		[]string{"config/crd/bases/keda.sh_scaledobjects.yaml"},
	},
	{
		"sigs.k8s.io/gateway-api@v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
		[]string{"config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	},
}

// definitions are the files of the sources, downloaded where they are not in Go's cache.
func definitions(ctx context.Context) ([]string, error) {
	var files []string
	for _, s := range sources {
		cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.module)
		cmd.Dir = os.TempDir() // in no module, so that none is changed
		out, err := cmd.Output()
		var got struct{ Dir, Sum, Error string }
		if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || got.Error != "" || err != nil {
			return nil, fmt.Errorf("downloading %s: %v, %v, %s", s.module, err, jsonErr, got.Error)
		}
		if got.Sum != s.sum {
			return nil, fmt.Errorf("%s is %s, want %s", s.module, got.Sum, s.sum)
		}
		for _, f := range s.files {
			files = append(files, filepath.Join(got.Dir, f))
		}
	}
	return files, nil
}
