package chaos

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if err := Launch(); err != nil { // this program, too, starts others behind a gate
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
