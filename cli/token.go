package cli

import (
	"errors"
	"time"

	"holdfast/app"
	"holdfast/auth"
	"holdfast/config"
)

type tokenCommand struct {
	User  string        `required:"" help:"The user, subject of the token."`
	Admin bool          `help:"Give the role ADMIN as well."`
	TTL   time.Duration `name:"ttl" help:"How long the token is valid (auth.tokenTTL)."`
}

// Run prints a token. It fails if auth.jwks is set: the issuer of those keys issues the tokens.
func (c *tokenCommand) Run(e *environment) error {
	cfg, err := e.load(config.Sources{})
	if err != nil {
		return err
	}
	if cfg.Auth.JWKS != "" {
		return errors.New("tokens are issued by whoever publishes auth.jwks, not here")
	}
	roles := []auth.Role{auth.Customer}
	if c.Admin {
		roles = append(roles, auth.Admin)
	}
	if c.TTL == 0 {
		c.TTL = cfg.Auth.TokenTTL
	}
	token, err := auth.Issue(app.TokenSecret(cfg), cfg.Auth.Issuer, cfg.Auth.Audience, c.User, roles, c.TTL)
	if err != nil {
		return err
	}
	return e.print(token)
}
