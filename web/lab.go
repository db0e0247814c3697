package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
)

// LabOptions configures the lab. All of it ends up in the page, for everybody who may load that page.
type LabOptions struct {
	// Endpoint receives queries and mutations by POST, and subscriptions as event streams; a path of this server, "/graphql"
	// by default.
	Endpoint string `json:"endpoint"`
	// Token is that of an administrator, as in a demonstration. Without it, the page asks for one.
	Token string `json:"token"`
	// Workloads, Plans and Strategies are what there is to choose from.
	Workloads  []LabChoice `json:"workloads"`
	Plans      []LabChoice `json:"plans"`
	Strategies []string    `json:"strategies"`
	// MaxClients and MaxMilliseconds bound an experiment.
	MaxClients      int   `json:"maxClients"`
	MaxMilliseconds int64 `json:"maxMilliseconds"`
	// Pages are all pages of the server, the lab included.
	Pages []Page `json:"pages"`
}

// LabChoice is something to choose.
type LabChoice struct {
	Name string `json:"name"`
	// Title is what to call it, where that is not its name.
	Title string `json:"title"`
	About string `json:"about"`
}

// Lab serves the page on which experiments are started, at whatever path it is asked for. Its scripts come from Assets.
func Lab(o LabOptions) http.Handler {
	o.Endpoint, o.Pages = cmp.Or(o.Endpoint, "/graphql"), append([]Page{}, o.Pages...)
	config, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("web: encode the configuration of the lab: %v", err)) // Strings and numbers.
	}
	page := withConfig(read("dist/lab/index.html"), config)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { servePage(w, r, page, appPolicy) })
}
