package edge_test

import (
	"fmt"
	"strings"
	"testing"
)

// kosme is the Greek word that most of Autobahn's section 6 is about; the bad one
// has half of a surrogate pair in it.
const (
	kosme    = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	badKosme = kosme + "\xed\xa0\x80edited"
	pastEnd  = kosme + "\xf4\x90\x80\x80edited" // beyond U+10FFFF
)

// utf8Handling: RFC 6455, 5.6 and 8.1.
func utf8Handling() []exchange {
	const greek = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"
	table := []exchange{
		echoes("6.1.1/empty text", text(""), "text "),
		echoes("6.1.2/three empty fragments", all(frame(1, ""), frame(0, ""), frame(fin, "")), "text "),
		echoes("6.1.3/two empty fragments about one", all(frame(1, ""), frame(0, "middle frame payload"), frame(fin, "")), "text middle frame payload"),
		echoes("6.2.1/text", text(greek), "text "+greek),
		echoes("6.2.2/in two fragments, between characters", fragments(1, greek, 8), "text "+greek),
		echoes("6.2.3/in fragments of a byte", fragments(1, greek, 1), "text "+greek),
		echoes("6.2.4/another in fragments of a byte", fragments(1, kosme, 1), "text "+kosme),
		{"6.3.1/not UTF-8", text(badKosme), nil, 1007},
		{"6.3.2/not UTF-8, in fragments of a byte", fragments(1, badKosme, 1), nil, 1007},
		{"6.4.1/wrong in the second of three fragments", all(frame(1, pastEnd[:11]), frame(0, pastEnd[11:15]), frame(fin, pastEnd[15:])), nil, 1007},
		{"6.4.2/wrong in its second byte", all(frame(1, pastEnd[:12]), frame(0, pastEnd[12:13]), frame(fin, pastEnd[13:])), nil, 1007},
		echoes("6.24/binary is not looked at", binaryFrame(badKosme), "binary "+badKosme),
	}
	number := 5
	for _, group := range utf8Sequences() {
		for i, s := range group.texts {
			name := fmt.Sprintf("6.%d.%d/%s", number, i+1, group.name)
			if group.valid {
				table = append(table, echoes(name, text(s), "text "+s))
			} else {
				table = append(table, exchange{name, text(s), nil, 1007})
			}
		}
		number++
	}
	return table
}

// utf8Group is a group of texts that all are UTF-8 (RFC 3629), or all are not.
type utf8Group struct {
	name  string
	valid bool
	texts []string
}

// utf8Sequences are the texts of Autobahn 6.5 to 6.23, after Markus Kuhn's UTF-8
// decoder stress test.
func utf8Sequences() []utf8Group {
	short := []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
	}
	var cut, whole []string
	for i := 1; i <= len(kosme); i++ {
		if i < len(kosme) && kosme[i]&0xc0 == 0x80 {
			cut = append(cut, kosme[:i])
		} else {
			whole = append(whole, kosme[:i])
		}
	}
	var nonCharacters []string
	for plane := range rune(17) {
		nonCharacters = append(nonCharacters, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	return []utf8Group{
		{"valid sequences", true, []string{"hello\x24world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme}},
		{"prefixes that end between characters", true, whole},
		{"prefixes that end inside a character", false, cut},
		{"the first of each length", true, []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
		{"the first of 5 and 6 bytes", false, []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{"the last of each length", true, []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
		{"the last of 4, 5 and 6 bytes", false, []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{"beside the surrogates", true, []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf"}},
		{"beyond U+10FFFF", false, []string{"\xf4\x90\x80\x80"}},
		{"continuation bytes alone", false, []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", byteRange(0x80, 0xbf, "")}},
		{"first bytes alone", false, []string{byteRange(0xc0, 0xdf, " "), byteRange(0xe0, 0xef, " "), byteRange(0xf0, 0xf7, " "), byteRange(0xf8, 0xfb, " "), byteRange(0xfc, 0xfd, " ")}},
		{"the last byte is missing", false, short},
		{"all of those", false, []string{strings.Join(short, "")}},
		{"bytes that are none", false, []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{"an overlong slash", false, []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{"the last overlong ones", false, []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{"an overlong NUL", false, []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		{"one surrogate", false, []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
		{"a pair of surrogates", false, []string{
			"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
		}},
		{"no characters, but valid", true, nonCharacters},
		{"specials", true, []string{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"}},
	}
}

func byteRange(first, last byte, behind string) (s string) {
	for b := first; b <= last; b++ {
		s += string([]byte{b}) + behind
	}
	return s
}

// TestTextIsCheckedWhenComplete: Autobahn 6.4. A fragment, or a piece of a frame,
// that cannot be UTF-8 ends nothing yet: a ping behind it is answered still.
func TestTextIsCheckedWhenComplete(t *testing.T) {
	m := newEcho(t)
	d := m.talk(t, "")
	for _, part := range [][]byte{frame(1, pastEnd[:12]), frame(0, pastEnd[12:])} {
		if err := <-d.send(all(part, ping("still here")), 1000); err != nil {
			t.Fatal(err)
		}
		if got, err := d.message(); err != nil || got != "pong still here" {
			t.Fatalf("got %q %v, want the pong", got, err)
		}
	}
	if err := (exchange{"", frame(fin, ""), nil, 1007}).hold(d, 1000); err != nil {
		t.Error(err)
	}
}
