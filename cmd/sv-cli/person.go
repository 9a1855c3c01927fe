package main

import (
	"context"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

// person is who listens or reads: a token, or a user of a development mesh.
type person struct {
	Token   string `help:"ID token of the person." from:"SV_TOKEN" placeholder:"TOKEN"`
	User    string `help:"Mint a development token for this user, for servers with WS_AUTH=dev; wins over --token." placeholder:"UID"`
	Project string `help:"Firebase project of that token." from:"FIREBASE_PROJECT_ID" default:"demo-vibemesh" placeholder:"ID"`
}

// token gives the token to connect with now; with --user a fresh one each time.
func (p person) token(now time.Time) (string, error) {
	if p.User != "" {
		token, err := auth.MintDev(auth.DevClaims{UID: p.User, ProjectID: p.Project, TTL: time.Hour}, now)
		if err != nil {
			return "", usage("--user: %v", err)
		}
		return token, nil
	}
	token := strings.TrimSpace(p.Token)
	if token == "" {
		return "", usage("who is it? Give --token (SV_TOKEN), or --user with a server that runs with WS_AUTH=dev")
	}
	return token, nil
}

type tokenCmd struct {
	User      string        `help:"User id to put into the token." required:"" placeholder:"UID"`
	Publisher bool          `help:"Let the user publish."`
	TTL       time.Duration `name:"ttl" help:"How long the token counts." default:"1h"`
	Project   string        `help:"Firebase project of the token." from:"FIREBASE_PROJECT_ID" default:"demo-vibemesh" placeholder:"ID"`
	Claim     string        `help:"Name of the claim that may publish." from:"WS_PUBLISH_CLAIM" default:"publisher" placeholder:"NAME"`

	Topic      []string `help:"A topic that the user may join, for servers with WS_TOPICS=claim; repeat it for several; * at the end stands for all that begin so." placeholder:"TOPIC" sep:"none"`
	TopicClaim string   `help:"Name of the claim that lists them." from:"WS_TOPIC_CLAIM" default:"topics" placeholder:"NAME"`
}

// Run prints the token, and nothing else, so that $(…) can take it.
func (c *tokenCmd) Run(_ context.Context, w world, g globals) error {
	token, err := auth.MintDev(auth.DevClaims{
		UID: c.User, ProjectID: c.Project, Publisher: c.Publisher, TTL: c.TTL, PublishClaim: c.Claim,
		Topics: c.Topic, TopicClaim: c.TopicClaim,
	}, w.now())
	if err != nil {
		return usage("%v", err)
	}
	if g.JSON {
		return printJSON(w, map[string]string{"token": token})
	}
	return say(w, token)
}
