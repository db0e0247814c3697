package app

import (
	"net/http"

	"holdfast/auth"
	"holdfast/commerce"
	"holdfast/config"
	"holdfast/experiment/load"
	"holdfast/experiment/plans"
	"holdfast/graph"
	"holdfast/web"
)

// page is a page that a server may serve.
type page struct {
	web.Page
	pattern string
	served  bool
	// operations is the name by which package web knows what the page sends, "" if that is not known.
	operations string
	// open returns what serves the page. pages are all that are served.
	open func(cfg config.Config, pages []web.Page) (http.Handler, error)
}

// pagesOf returns all pages in the order in which they link to each other.
func pagesOf(cfg config.Config) []page {
	return []page{
		{web.Page{Title: "Playground", Path: "/"}, "GET /{$}", cfg.HTTP.Playground, "", playgroundPage},
		{web.Page{Title: "Shop", Path: "/shop"}, "GET /shop", cfg.HTTP.Shop && cfg.Schema.Has(config.Storefront), "shop", shopPage},
		{web.Page{Title: "Administration", Path: "/admin"}, "GET /admin", cfg.HTTP.Admin && cfg.Schema.Has(config.Administration), "admin", adminPage},
		{web.Page{Title: "Lab", Path: "/lab"}, "GET /lab", cfg.Experiments.Enabled && cfg.Schema.Has(config.Experimental), "lab", labPage},
	}
}

// pageOperations returns the manifests of the pages that are switched on, by the names of these.
func pageOperations(cfg config.Config) map[string][]byte {
	manifests := map[string][]byte{}
	for _, p := range pagesOf(cfg) {
		if p.served && p.operations != "" {
			manifests["the page "+p.Path] = web.Operations(p.operations)
		}
	}
	return manifests
}

// servePages adds the pages that are switched on, each with links to the others.
func servePages(mux *http.ServeMux, cfg config.Config) error {
	all, links := pagesOf(cfg), []web.Page{}
	for _, p := range all {
		if p.served {
			links = append(links, p.Page)
		}
	}
	for _, p := range all {
		if !p.served {
			continue
		}
		handler, err := p.open(cfg, links)
		if err != nil {
			return err
		}
		mux.Handle(p.pattern, handler)
	}
	if len(links) > 0 {
		mux.Handle("/assets/", web.Assets())
	}
	return nil
}

// playgroundPage is GraphiQL with prepared operations. In development they carry a working token,
// of an administrator named alice.
func playgroundPage(cfg config.Config, pages []web.Page) (http.Handler, error) {
	headers := map[string]string{}
	token, err := demoToken(cfg, commerce.DemoAlice, auth.Customer, auth.Admin)
	if err != nil {
		return nil, err
	}
	if token != "" {
		headers["Authorization"] = "Bearer " + token
	}
	// The tabs are made once for each start, so that their idempotency keys are fresh. They are not
	// made for each visit: the page keeps what a user has edited for as long as the server's tabs
	// are the same.
	tabs, err := graph.Tabs(servedSchema(cfg))
	if err != nil {
		return nil, err
	}
	return web.Playground(web.PlaygroundOptions{Headers: headers, Tabs: tabs, Pages: pages}), nil
}

// shopPage is the storefront. In development it comes with a working token, of a customer named
// alice. Any other server's page asks for a token.
func shopPage(cfg config.Config, pages []web.Page) (http.Handler, error) {
	token, err := demoToken(cfg, commerce.DemoAlice, auth.Customer)
	if err != nil {
		return nil, err
	}
	return web.Shop(web.AppOptions{Token: token, Pages: pages}), nil
}

// adminPage is the administration. In development, it offers a working token of the demo administrator. Any other server's page
// asks for a token.
func adminPage(cfg config.Config, pages []web.Page) (http.Handler, error) {
	token, err := demoToken(cfg, commerce.DemoAdmin, auth.Customer, auth.Admin)
	if err != nil {
		return nil, err
	}
	return web.Admin(web.AppOptions{Token: token, Pages: pages}), nil
}

// labPage is the page on which administrators start experiments and read their reports. In
// development it comes with a working token, of an administrator. Any other server's page asks for
// a token.
func labPage(cfg config.Config, pages []web.Page) (http.Handler, error) {
	token, err := demoToken(cfg, commerce.DemoAlice, auth.Customer, auth.Admin)
	if err != nil {
		return nil, err
	}
	options := web.LabOptions{
		Token: token, Pages: pages, MaxClients: cfg.Experiments.MaxClients, MaxMilliseconds: cfg.Experiments.MaxDuration.Milliseconds(),
	}
	for _, w := range load.Workloads() {
		options.Workloads = append(options.Workloads, web.LabChoice{Name: w.Name, About: w.About})
	}
	for _, s := range plans.Default().Strategies {
		options.Strategies = append(options.Strategies, string(s))
	}
	for _, name := range plans.Shipped() {
		plan, err := plans.Load(name)
		if err != nil {
			return nil, err
		}
		options.Plans = append(options.Plans, web.LabChoice{Name: name, Title: plan.Name, About: plan.About})
	}
	return web.Lab(options), nil
}
