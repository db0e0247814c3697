package plans_test

import (
	"fmt"

	"holdfast/experiment/plans"
)

// A plan runs all combinations of its lists, the strategies of one setting after each other.
func ExampleParse() {
	plan, err := plans.Parse("mine.yaml", []byte("workloads: [points]\nstrategies: [rowlock, lua]\nclients: [8, 32]"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range plan.Cases() {
		fmt.Println(c.Strategy, "with", c)
	}
	// Output:
	// rowlock with points on sqlite and embedded Redis, 8 clients, 1 instance, closed loop
	// lua with points on sqlite and embedded Redis, 8 clients, 1 instance, closed loop
	// rowlock with points on sqlite and embedded Redis, 32 clients, 1 instance, closed loop
	// lua with points on sqlite and embedded Redis, 32 clients, 1 instance, closed loop
}
