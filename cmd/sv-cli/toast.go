package main

import "context"

// toastText is what a toast says beside its title.
type toastText struct {
	Teaser      string `help:"What the small banner shows below the title." placeholder:"TEXT"`
	Description string `help:"The whole text, shown when the toast is opened." placeholder:"TEXT"`
	ImageURL    string `name:"image-url" help:"A picture, by https." placeholder:"URL"`
	ActionURL   string `name:"action-url" help:"Where the action button leads: https, or an app scheme such as sv://." placeholder:"URL"`
	ActionLabel string `name:"action-label" help:"The words on the action button." placeholder:"TEXT"`
}

func (t *toastText) body(title string, delivery deliveryBody) toastBody {
	return toastBody{title, t.Teaser, t.Description, t.ImageURL, t.ActionURL, t.ActionLabel, delivery}
}

type toastCmd struct {
	Title string `help:"The headline." required:"" placeholder:"TEXT"`

	Text           toastText     `embed:""`
	Delivery       deliveryFlags `embed:""`
	publisherFlags `embed:""`
}

// toastBody is the request of POST /ws/toast; what is empty is left out.
type toastBody struct {
	Title       string `json:"title"`
	Teaser      string `json:"teaser,omitempty"`
	Description string `json:"description,omitempty"`
	ImageURL    string `json:"image_url,omitempty"`
	ActionURL   string `json:"action_url,omitempty"`
	ActionLabel string `json:"action_label,omitempty"`
	deliveryBody
}

// Run publishes the toast and prints the receipts.
func (c *toastCmd) Run(ctx context.Context, w world, g globals) error {
	delivery, err := c.Delivery.body(w)
	if err != nil {
		return err
	}
	return publish(ctx, w, g, c.publisherFlags, c.Delivery.IdempotencyKey, "/ws/toast", c.Text.body(c.Title, delivery))
}
