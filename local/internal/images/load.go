package images

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// Load brings images into the node's containerd; what is there already, with the same content, is left.
func (b *Builder) Load(ctx context.Context, images ...Image) error {
	b.loadMu.Lock()
	defer b.loadMu.Unlock()
	present, err := b.onNode(ctx)
	if err != nil {
		return err
	}
	notes := filepath.Join(b.Places.State, "loaded")
	if err := os.MkdirAll(notes, 0o755); err != nil {
		return err
	}
	for _, i := range images {
		note := filepath.Join(notes, noteName(i.Ref))
		id := b.Engine.ID(ctx, i.Ref)
		if loaded, _ := os.ReadFile(note); present[i.Ref] && string(loaded) == id {
			continue
		}
		if err := b.Log.Do(ctx, "load "+i.Ref+" into the node", "", func(ctx context.Context) error { return b.load(ctx, i) }); err != nil {
			return err
		}
		if err := os.WriteFile(note, []byte(id), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) load(ctx context.Context, i Image) error {
	dir, err := os.MkdirTemp(b.Places.Cache, ".load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "image.tar")
	if err := b.Engine.Save(ctx, i.Ref, archive); err != nil {
		return err
	}
	ctr := b.ctr(ctx, "images", "import", archive)
	out, err := ctr.CombinedOutput()
	progress.Ran(ctx, ctr)
	if err != nil {
		return commandError("ctr images import "+i.Ref, lastBytes(out, 1000), err)
	}
	return nil
}

func (b *Builder) onNode(ctx context.Context) (map[string]bool, error) {
	conn, err := net.DialTimeout("unix", b.Places.Containerd(), time.Second)
	if err != nil {
		return nil, errNotRunning
	}
	conn.Close()
	out, err := b.ctr(ctx, "images", "list", "-q").Output()
	if err != nil {
		return nil, commandError("ctr images list", out, err)
	}
	present := map[string]bool{}
	for _, ref := range strings.Fields(string(out)) {
		present[ref] = true
	}
	return present, nil
}

func (b *Builder) ctr(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ctr", append([]string{"--address", b.Places.Containerd(), "--namespace", "k8s.io"}, args...)...)
}
