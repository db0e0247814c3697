package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/config"
	"holdfast/config/setting"
	"holdfast/payments"
)

// webhookCommand holds the commands about the messages of payment gateways.
type webhookCommand struct {
	Simulate simulateCommand `cmd:"" help:"Send a message of the simulated gateway to a running server."`
}

// simulateCommand signs a message with payment.webhookSecret and sends it.
type simulateCommand struct {
	Attempt string `arg:"" help:"The payment attempt: the id of a row of payment_attempts."`
	State   string `arg:"" enum:"PENDING,REQUIRES_ACTION,AUTHORIZED,CAPTURED,REFUNDED,DECLINED,VOIDED" help:"What has become of the payment: ${enum}."`

	Times     int           `default:"1" placeholder:"N" help:"How often the same message is sent, one after the other."`
	Server    string        `placeholder:"URL" help:"The server, such as http://127.0.0.1:8080. Without it, that of the setting listen."`
	ID        string        `name:"id" placeholder:"ID" help:"ID of the message. Without it, a new one."`
	Reference string        `placeholder:"ID" help:"The gateway's reference. Without it, that which the simulated gateway gives."`
	Captured  int64         `placeholder:"MINOR" help:"What was captured in all, in minor units."`
	Refunded  int64         `placeholder:"MINOR" help:"What was given back in all, in minor units."`
	Reason    string        `help:"Why the payment was declined."`
	Age       time.Duration `placeholder:"TIME" help:"How long ago the message was signed: the server refuses it after 5m."`
}

// webhookTimeout bounds one message. The server answers within ten seconds.
const webhookTimeout = 30 * time.Second

// Run sends the message. It fails at the first one that the server does not take.
func (c *simulateCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	switch {
	case cfg.Payment.Gateway != commerce.GatewaySimulated:
		return fmt.Errorf("payment.gateway is %s: only the simulated gateway can be simulated", cfg.Payment.Gateway)
	case cfg.Payment.WebhookSecret == "":
		return errors.New("set payment.webhookSecret, here and for the server: without it the simulated gateway has no webhook")
	case c.Times < 1:
		return fmt.Errorf("--times is %d, want at least 1", c.Times)
	}
	server := c.Server
	if server == "" {
		server = "http://" + reachable(cfg.Listen)
	}
	m := payments.SimulatedMessage{
		ID: c.ID, Attempt: c.Attempt, State: payments.State(c.State), Reference: c.Reference,
		Captured: c.Captured, Refunded: c.Refunded, Reason: c.Reason,
	}
	if m.ID == "" {
		m.ID = "evt_" + uuid.NewString()
	}
	if m.Reference == "" {
		m.Reference = payments.SimulatedReference(c.Attempt)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	signature := payments.SignSimulated(cfg.Payment.WebhookSecret, body, time.Now().Add(-c.Age))
	url := strings.TrimSuffix(server, "/") + "/webhooks/" + commerce.GatewaySimulated
	for range c.Times {
		outcome, err := sendMessage(e.ctx, url, signature, body)
		if err != nil {
			return err
		}
		if err := e.print(m.ID, outcome); err != nil {
			return err
		}
	}
	return nil
}

// sendMessage sends one message and returns what the server says that it has done.
func sendMessage(ctx context.Context, url, signature string, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("--server: %w", setting.WithoutURL(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(payments.SimulatedSignature, signature)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("send the message: %w", setting.WithoutURL(err))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1000))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	outcome := strings.TrimSpace(string(answer))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server has not taken the message: %s: %s", response.Status, outcome)
	}
	return outcome, nil
}
