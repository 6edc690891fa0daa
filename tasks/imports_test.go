package tasks

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports holds that app code which enqueues gets no worker with it.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/imqueue/emq/"
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, module) && pkg != module+"tasks" {
			t.Errorf("tasks imports %s", pkg)
		}
		for _, banned := range []string{"testing", "net/http/pprof", "github.com/spf13/cobra", "github.com/alicebob/miniredis", "github.com/knadh/koanf"} {
			if pkg == banned || strings.HasPrefix(pkg, banned+"/") {
				t.Errorf("tasks imports %s", pkg)
			}
		}
	}
}
