package images

import (
	"bytes"
	"context"
	"io"
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

// load pipes the image from the engine's store into containerd's, without an archive on the disk between them.
func (b *Builder) load(ctx context.Context, i Image) error {
	ctx, cancel := context.WithCancel(ctx) // the other end of the pipe must not wait for ever
	defer cancel()
	save, load := b.Engine.Save(ctx, i.Ref), b.ctr(ctx, "images", "import", "-")
	archive, err := save.StdoutPipe()
	if err != nil {
		return err
	}
	var saveErrors, loadOutput bytes.Buffer
	save.WaitDelay, load.WaitDelay = time.Second, time.Second
	save.Stderr, load.Stdout, load.Stderr = &saveErrors, &loadOutput, &loadOutput
	load.Stdin = &counter{ctx: ctx, from: archive, total: b.Engine.Size(ctx, i.Ref)}
	if err := save.Start(); err != nil {
		return err
	}
	loadErr := load.Run()
	if loadErr != nil {
		cancel()
	}
	archive.Close() // whoever still writes ends
	saveErr := save.Wait()
	progress.Ran(ctx, save)
	progress.Ran(ctx, load)
	switch {
	case saveErr != nil && (loadErr == nil || saveErrors.Len() > 0):
		return commandError("save "+i.Ref, saveErrors.Bytes(), saveErr)
	case loadErr != nil:
		return commandError("ctr images import "+i.Ref, lastBytes(loadOutput.Bytes(), 1000), loadErr)
	}
	return nil
}

// counter tells how much of an archive has been read.
type counter struct {
	ctx         context.Context
	from        io.Reader
	read, total int // bytes
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	const mb = 1_000_000
	if before := c.read / mb; c.total > 0 && (c.read+n)/mb > before {
		progress.Advance(c.ctx, min(c.read+n, c.total)/mb, c.total/mb, "MB")
	}
	c.read += n
	return n, err
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
