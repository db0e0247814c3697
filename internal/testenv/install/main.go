// Command install says which of the servers that the tests use are installed, and, as root on Debian or Ubuntu, installs
// what is missing with apt-get, without starting system services. Elsewhere it prints what to do. It fails only when
// something is missing in the end and REQUIRE_SERVERS=1 is set: without a server, its tests are skipped.
//
// It also sees to a C compiler, which the race detector needs, and to promtool, for the test of the
// alert rules, in the same way, and to Chromium, for the tests of pages: where that is not to be
// had, they are skipped, whatever REQUIRE_SERVERS says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"holdfast/internal/servers"
)

// aptTimeout bounds each of the two runs of apt-get.
const aptTimeout = 10 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wanted := [][]string{missingServers()} // one after the other: one that is not to be had is no reason to lack the others
	if !have("chromium") {
		wanted = append(wanted, []string{"chromium"})
	}
	if !have("promtool") {
		wanted = append(wanted, []string{"prometheus"})
	}
	for _, packages := range wanted {
		if len(packages) == 0 || !canInstall() {
			continue
		}
		fmt.Println("servers: installing", strings.Join(packages, " "))
		if err := install(ctx, packages); err != nil {
			fmt.Fprintln(os.Stderr, "servers:", err) // What counts is what is there now.
		}
	}
	missing := missingServers()
	if !have("chromium") {
		fmt.Println("servers: tests that need Chromium are skipped")
	}
	if !have("promtool") {
		fmt.Println("servers: alert rules are not evaluated, which needs promtool, of the package prometheus")
		missing = append(missing, "prometheus")
	}
	if len(missing) == 0 {
		fmt.Println("servers: redis-server, PostgreSQL, PgBouncer, MariaDB, promtool and a C compiler are installed")
		return nil
	}
	advice := "install them with: apt-get install " + strings.Join(missing, " ")
	if os.Getenv("REQUIRE_SERVERS") == "1" {
		return fmt.Errorf("missing: %s; REQUIRE_SERVERS=1 forbids to go on; %s", strings.Join(missing, " "), advice)
	}
	fmt.Println("servers: missing:", strings.Join(missing, " "))
	for _, kind := range servers.Kinds() {
		if !servers.Have(kind) {
			fmt.Printf("servers: tests that need %s are skipped\n", kind)
		}
	}
	if !haveCompiler() {
		fmt.Println("servers: tests run without the race detector")
	}
	fmt.Println("servers:", advice)
	return nil
}

// missingServers names the Debian packages of servers and of a C compiler that are not installed.
func missingServers() []string {
	var packages []string
	for _, kind := range servers.Kinds() {
		if !servers.Have(kind) {
			packages = append(packages, servers.DebianPackage(kind))
		}
	}
	if !haveCompiler() {
		packages = append(packages, "gcc", "libc6-dev")
	}
	return packages
}

func have(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// haveCompiler looks for the names under which the go command looks for one.
func haveCompiler() bool {
	return slices.ContainsFunc([]string{"gcc", "clang", "cc"}, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

func canInstall() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && os.Geteuid() == 0
}

func install(ctx context.Context, packages []string) (err error) {
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, allow()) }()
	if err := aptGet(ctx, "update"); err != nil {
		// The lists may be there from before; what they lack shows in the next step.
		fmt.Fprintln(os.Stderr, "servers:", err)
	}
	return aptGet(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)...)
}

func aptGet(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, aptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet"}, args...)...)
	// Killed in mid-flight, dpkg would leave half-installed packages.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}

// policyFile is what Debian's packages ask whether they may start their services; status 101 says no. The tests start
// servers of their own, and a developer's machine should not get three more daemons.
const policyFile = "/usr/sbin/policy-rc.d"

// forbidServices puts the policy in place, and returns what removes it again. A policy that is there already belongs to
// the owner of the machine and stays.
func forbidServices() (undo func() error, err error) {
	//nolint:gosec // G302: dpkg's scripts execute it.
	file, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policyFile))
	}
	return func() error { return os.Remove(policyFile) }, nil
}
