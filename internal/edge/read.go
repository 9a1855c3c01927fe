package edge

import "github.com/socialvibes/vibemesh/internal/wire"

// appendReadFrame appends the frame that says what a person has read, to be sent to
// each of their devices.
func appendReadFrame(dst []byte, e *wire.Entry, cursor wire.Cursor) []byte {
	view := e.Read.View()
	view.Cursor = cursor.String()
	return appendServerFrame(dst, view)
}
