package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker; without it, the module's version stands.
var version string

// build is what is known of how this binary was made.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"` // with "+" when files differed from it
	Go      string `json:"go"`
}

func newVersionCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit it was built from, and Go's version",
		Example: "  emq version --json",
		Args:    takesNone,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			b := readBuild(version, info)
			if asJSON {
				return newJSONEncoder(e.out).Encode(b)
			}
			commit := ""
			if b.Commit != "" {
				commit = "commit " + b.Commit + ", "
			}
			_, err := fmt.Fprintf(e.out, "emq %s (%s%s)\n", b.Version, commit, b.Go)
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// readBuild gathers the version from the linker's word and the build info,
// either of which may be missing.
func readBuild(linked string, info *debug.BuildInfo) build {
	b := build{Version: linked}
	if info != nil {
		b.Go = info.GoVersion
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		modified := ""
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					modified = "+"
				}
			}
		}
		if b.Commit != "" {
			b.Commit += modified
		}
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	return b
}
