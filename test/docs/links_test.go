package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset)="([^"]+)"`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestLinks follows every link between the pages, to files and to headings.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages {
		_, prose := parse(t, page)
		for _, found := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(prose, ""), -1) {
			target := found[1] + found[2]
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(target, "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
				continue
			}
			if anchor != "" && !hasAnchor(t, to, anchor) {
				t.Errorf("%s links to %s, and there is no such heading", page, target)
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links were found", links)
	}
}

func hasAnchor(t *testing.T, page, anchor string) bool {
	t.Helper()
	_, prose := parse(t, page)
	for _, h := range heading.FindAllStringSubmatch(prose, -1) {
		if slug(h[1]) == anchor {
			return true
		}
	}
	return false
}

// slug is the anchor that GitHub gives a heading.
func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, title)
}
