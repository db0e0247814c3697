package plans

import (
	"fmt"

	"holdfast/experiment/host"
	"holdfast/lockprovider"
)

// Case is one combination of a plan's lists.
type Case struct {
	Workload  string                `json:"workload"`
	Strategy  lockprovider.Strategy `json:"strategy"`
	Database  string                `json:"database"`
	Redis     string                `json:"redis"`
	Clients   int                   `json:"clients"`
	Instances int                   `json:"instances"`
	// Rate is operations per second of an open loop, 0 in a closed loop.
	Rate float64 `json:"rate"`
}

// Setting is the case without its strategy: cases of one setting are compared with each other.
func (c Case) Setting() Case {
	c.Strategy = ""
	return c
}

// String describes the case without its strategy.
func (c Case) String() string {
	loop := "closed loop"
	if c.Rate > 0 {
		loop = fmt.Sprintf("%g/s", c.Rate)
	}
	stores := fmt.Sprintf("%s and %s Redis", c.Database, c.Redis)
	if c.Database == host.Running {
		stores = "running servers"
	}
	return fmt.Sprintf("%s on %s, %s, %s, %s", c.Workload, stores,
		Plural(c.Clients, "client"), Plural(c.Instances, "instance"), loop)
}

// Plural is a number of things, the name of which takes an s.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Cases are all combinations in the order in which a round runs them: the strategies of a setting follow each other.
func (p Plan) Cases() []Case {
	var cases []Case
	for _, workload := range p.Workloads {
		for _, database := range p.Databases {
			for _, instances := range p.Instances {
				for _, clients := range p.Clients {
					for _, rate := range p.Rates {
						for _, strategy := range p.Strategies {
							cases = append(cases, Case{workload, strategy, database, p.Redis, clients, instances, rate})
						}
					}
				}
			}
		}
	}
	return cases
}
