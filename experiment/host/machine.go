package host

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is where an experiment ran.
type Machine struct {
	OS   string `json:"os"`
	CPU  string `json:"cpu"`
	CPUs int    `json:"cpus"`
	// Memory is in MiB, 0 if it is not known.
	Memory int    `json:"memoryMiB"`
	Go     string `json:"go"`
	// Load is the system's load average before the experiment, "" if it is not known.
	Load string `json:"load,omitempty"`
	// Servers are the versions of the database and Redis programs on PATH.
	Servers []string `json:"servers,omitempty"`
}

// ThisMachine describes the machine that this process runs on. A figure that cannot be found out stays empty.
func ThisMachine(ctx context.Context) Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = procField("/proc/cpuinfo", "model name")
	if kib := strings.Fields(procField("/proc/meminfo", "MemTotal")); len(kib) > 0 {
		for _, digit := range kib[0] {
			m.Memory = m.Memory*10 + int(digit-'0')
		}
		m.Memory /= 1024
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	for _, program := range []string{"redis-server", "postgres", "mariadbd"} {
		if v := versionOf(ctx, program); v != "" {
			m.Servers = append(m.Servers, v)
		}
	}
	return m
}

// procField reads "name : value" of a file of /proc, "" if there is none.
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func versionOf(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line
}
