//go:build linux

package main

import (
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// sampleReport is a comparison with made-up figures; a phase of one server is missing.
func sampleReport() *report {
	result := func(name string, bytes, connect, paced, burst, writes int64) measure {
		of := func(count, perCPU int64) *phase {
			return &phase{Count: count, CPUSeconds: float64(count) / float64(perCPU), PerCPU: float64(perCPU)}
		}
		m := measure{
			Name: name, Sockets: 15000, FrameBytes: 362, Before: memory{RSS: 1 << 20}, After: memory{RSS: 1<<20 + 15000*bytes},
			Connect: of(15000, connect), Paced: of(600_000, paced), Burst: of(750_000, burst),
		}
		m.Burst.Writes = writes
		return m
	}
	r := &report{
		plan:    plan{Sockets: 15000, Broadcasts: 40, Burst: 50, Size: 256, Settle: 10 * time.Second},
		machine: machineLine(2, "model name\t: Some  CPU <9>\n", "6.1.2-3-built-here", "go1.26.0"), pinned: true,
	}
	add := func(label string, m measure) {
		slower, faster := *m.Paced, *m.Paced
		slower.PerCPU, faster.PerCPU = slower.PerCPU*.9, faster.PerCPU*1.3
		bursts := []phase{}
		if m.Burst != nil {
			bursts = append(bursts, *m.Burst, *m.Burst)
			bursts[1].PerCPU += 1000 // of two, the lower one counts
		}
		r.add(label, m, []phase{faster, *m.Paced, slower}, bursts)
	}
	add("bare floor, RawSyscall", result("floor-raw", 230, 21000, 110_000, 115_000, 750_000))
	add("Vibemesh edge", result("edge", 700, 12000, 95_123, 2_345_678, 15_000))
	add("bare floor, syscall.Write", result("floor-syscall", 230, 20000, 70_000, 75_000, 750_000))
	nbio := result("nbio", 1235, 13800, 78_700, 1, 0)
	nbio.Burst, nbio.FrameBytes = nil, 363
	add("nbio 1.2.3", nbio)
	add("centrifuge & co", result("centrifuge", 51_234, 4300, 25_800, 99_949, 61_000))
	return r
}

func TestReportIsGolden(t *testing.T) {
	r := sampleReport()
	for name, write := range map[string]func(io.Writer) error{"report.md": r.markdown, "report.svg": r.plot, "report.txt": r.text} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("not as in %s; if it should be so, run go test with -update:\n%s", path, d)
			}
		})
	}
}

// TestPlotCanBeReadByAll: it is well-formed, and says in words what it shows.
func TestPlotCanBeReadByAll(t *testing.T) {
	var svg strings.Builder
	if err := sampleReport().plot(&svg); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Role  string `xml:"role,attr"`
		By    string `xml:"aria-labelledby,attr"`
		Title struct {
			ID   string `xml:"id,attr"`
			Text string `xml:",chardata"`
		} `xml:"title"`
		Desc struct {
			ID   string `xml:"id,attr"`
			Text string `xml:",chardata"`
		} `xml:"desc"`
		Style string `xml:"style"`
	}
	if err := xml.Unmarshal([]byte(svg.String()), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Role != "img" || doc.By != doc.Title.ID+" "+doc.Desc.ID {
		t.Errorf("%+v", doc)
	}
	for _, want := range []string{"Vibemesh edge 2,350,000", "centrifuge & co 51,200", "less is better"} {
		if !strings.Contains(doc.Desc.Text, want) {
			t.Errorf("the description lacks %q: %s", want, doc.Desc.Text)
		}
	}
	if !strings.Contains(doc.Style, "prefers-color-scheme: dark") {
		t.Error("it has one colour scheme only")
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{
		0.02: "0.02", 0.020149: "0.0201", 1: "1", 14.26: "14.3", 99.99: "100", 100: "100", 573.4: "573", 999.6: "1,000",
		1234: "1,230", 12345: "12,300", 123456: "123,000", 2345678: "2,350,000", 999_999: "1,000,000", -1234: "-1,230", -123456: "-123,000",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) is %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.9: "0.90×", 0.004: "0.00×", 9.994: "9.99×", 12.34: "12.3×", 1234: "1,230×"} {
		if got := ratio(v); got != want {
			t.Errorf("ratio(%v) is %s, want %s", v, got, want)
		}
	}
}

func TestMachineLine(t *testing.T) {
	for _, tc := range []struct {
		cores            int
		cpuinfo, release string
		want             string
	}{
		{2, "processor\t: 0\nmodel name\t: AMD  EPYC\nmodel name\t: other\n", "6.18.44-fc-v595", "2 cores of AMD EPYC, Linux 6.18.44, go1"},
		{1, "model name\t: X\n", "6.1", "1 core of X, Linux 6.1, go1"},
	} {
		if got := machineLine(tc.cores, tc.cpuinfo, tc.release, "go1"); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if line := machine(); host != "" && strings.Contains(line, host) || strings.Contains(line, "/") && !strings.Contains(line, "(R)") {
		t.Errorf("%q tells too much", line)
	}
}
