package cli

import "runtime/debug"

type versionCommand struct{}

// Run prints which version of the module this program was built from, and by which Go.
func (*versionCommand) Run(e *environment) error {
	return e.print("holdfast", version())
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision += " " + s.Value
		}
	}
	return revision + " " + info.GoVersion
}
