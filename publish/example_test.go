package publish_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/publish"
)

// url is the server of the examples, which has a log of three partitions.
var url string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "publish")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	w, stop, err := newWorld(dir, 3)
	if stop != nil {
		defer stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	url = "nats://backend:secret@" + w.url
	return m.Run()
}

func Example() {
	// With credentials: nats.UserCredentials("backend.creds").
	nc, err := nats.Connect(url, nats.CustomInboxPrefix("_INBOX_backend"), nats.ReconnectBufSize(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	p, err := publish.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	receipt, err := p.Toast(ctx, publish.ToUser("ada"), publish.Toast{Title: "Order 7 has shipped", ActionURL: "sv://order/7"},
		publish.IdempotencyKey("order-7"), publish.ExpiresIn(24*time.Hour))
	if err != nil {
		log.Fatal(err) // not known to be stored: publish it again with the same key
	}
	fmt.Println(receipt.Subject, receipt.Duplicate)
	// Output: sv.ws.user.ada false
}

func ExamplePublisher_ToastUsers() {
	p := connect()
	for range 2 { // the second time nothing is stored
		receipts, err := p.ToastUsers(context.Background(), []string{"ada", "grace@example.com"},
			publish.Toast{Title: "Dinner at eight"}, publish.IdempotencyKey("dinner-1"))
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range receipts {
			fmt.Println(r.Subject, r.Duplicate)
		}
	}
	// Output:
	// sv.ws.user.ada false
	// sv.ws.user.=Z3JhY2VAZXhhbXBsZS5jb20 false
	// sv.ws.user.ada true
	// sv.ws.user.=Z3JhY2VAZXhhbXBsZS5jb20 true
}

func ExamplePublisher_Batch() {
	p := connect()
	receipts, err := p.Batch(context.Background(),
		publish.NewEvent(publish.ToUser("ada"), "toast", publish.Toast{Title: "Order 8 has shipped"}),
		publish.NewEvent(publish.ToUser("ada"), "order.shipped", map[string]int{"order": 8}),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(receipts), "are stored, one behind the other:", receipts[1].Seq-receipts[0].Seq)
	// Output: 2 are stored, one behind the other: 1
}

func ExampleAt() {
	p := connect()
	doors := time.Now().Add(time.Hour)
	receipt, err := p.Toast(context.Background(), publish.ToTopic("club.7"), publish.Toast{Title: "Doors open"},
		publish.At(doors), publish.ExpiresIn(3*time.Hour), publish.Collapse("club.7/doors"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Subject, receipt.DeliverAt.Equal(doors))
	// Output: sv.ws.topic.=Y2x1Yi43 true
}

func ExamplePublisher_Signal() {
	p := connect()
	err := p.Signal(context.Background(), publish.ToUser("ada"), "call", map[string]string{"from": "Grace"})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleInvalidError() {
	p := connect()
	_, err := p.Toast(context.Background(), publish.ToUser("ada"), publish.Toast{ImageURL: "http://example.com/a.png"})
	var invalid *publish.InvalidError
	if errors.As(err, &invalid) { // nothing was sent
		for _, f := range invalid.Fields {
			fmt.Println(f.Field, f.Message)
		}
	}
	// Output:
	// image_url must be an https URL without spaces, such as https://example.com/a.png
	// title must not be empty
}

// connect is the first lines of Example.
func connect() *publish.Publisher {
	nc, err := nats.Connect(url, nats.CustomInboxPrefix("_INBOX_backend"), nats.ReconnectBufSize(-1))
	if err != nil {
		log.Fatal(err)
	}
	p, err := publish.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	return p
}
