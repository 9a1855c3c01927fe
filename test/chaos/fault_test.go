package chaos

import (
	"fmt"
	"slices"
	"testing"
)

func TestSeedDecidesEverything(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		plan := func(faults []*Fault) string {
			var text string
			for _, s := range Plan(faults, seed, false) {
				text += fmt.Sprintln(s.Name, s.Target, s.Hold, s.Pause)
			}
			return text
		}
		text := plan(Faults)
		backwards := slices.Clone(Faults)
		slices.Reverse(backwards)
		if again := plan(backwards); again != text {
			t.Fatalf("seed %d decided\n%s and then\n%s", seed, text, again)
		}
		seen[text] = true
	}
	if len(seen) < 20 {
		t.Errorf("20 seeds made %d plans", len(seen))
	}
}

func TestFaultsAreNamedOnce(t *testing.T) {
	names := map[string]bool{}
	for _, f := range Faults {
		if names[f.Name] || f.Name == "" || f.About == "" || f.run == nil {
			t.Errorf("%q", f.Name)
		}
		names[f.Name] = true
	}
}

func TestSelect(t *testing.T) {
	all, err := Select("")
	if err != nil || len(all) != len(Faults) {
		t.Errorf("%d of %d faults: %v", len(all), len(Faults), err)
	}
	short, err := Select("short")
	if err != nil || len(short) == 0 || len(short) == len(all) {
		t.Errorf("%d faults are short: %v", len(short), err)
	}
	two, err := Select("disk-full,edge-kill")
	if err != nil || len(two) != 2 || two[0].Name != "disk-full" {
		t.Errorf("%v %v", two, err)
	}
	if _, err := Select("edge-kill,nonsense"); err == nil {
		t.Error("nonsense was selected")
	}
}
