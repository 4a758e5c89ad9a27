package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

const (
	// AI_FILM_RELEASES names another server, laid out as this one, or is "off".
	releases = "https://dl.k8s.io/release"
	// sumLimit is far more than a checksum takes, and programLimit than a program of Kubernetes (130 MB).
	sumLimit     = 4 << 10
	programLimit = 1 << 30
)

// download fetches Kubernetes' own programs and compares them with their published checksums.
type download struct {
	base   string        // URL
	answer time.Duration // how long the server may take to begin, for a machine without internet is not to wait
	stall  time.Duration // how long it may send nothing

	unreachable error // why it couldn't be reached; it isn't asked again
}

// fromRelease returns what this process downloads from, or nil where that is switched off.
var fromRelease = sync.OnceValue(newDownload)

func newDownload() *download {
	base := os.Getenv("AI_FILM_RELEASES")
	switch base {
	case "off":
		return nil
	case "":
		base = releases
	}
	return &download{base: strings.TrimRight(base, "/"), answer: 5 * time.Second, stall: 15 * time.Second}
}

// fetch fills dir with the programs of the set, all of them or none.
func (d *download) fetch(ctx context.Context, s Set, dir string) error {
	if d.unreachable != nil {
		return d.unreachable
	}
	var files []string
	for i, name := range s.names() {
		progress.Advance(ctx, i, len(s.Programs), "programs")
		file := filepath.Join(dir, name)
		files = append(files, file)
		if err := d.program(ctx, name, file); err != nil {
			for _, f := range files {
				os.Remove(f)
			}
			return err
		}
	}
	return nil
}

func (d *download) program(ctx context.Context, name, file string) error {
	address := strings.Join([]string{d.base, KubernetesVersion, "bin/linux", runtime.GOARCH, name}, "/")
	var published strings.Builder
	if err := d.get(ctx, address+".sha256", sumLimit, &published); err != nil {
		return err
	}
	want := strings.TrimSpace(published.String())
	if sum, err := hex.DecodeString(want); err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("%s.sha256 is no SHA-256: %.40q", name, want)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if err := d.get(ctx, address, programLimit, io.MultiWriter(f, h)); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(want) {
		return fmt.Errorf("%s has the SHA-256 %.12s…, published is %.12s…", name, got, want)
	}
	return f.Close()
}

var errStalled = errors.New("the server sends nothing")

// get copies what a URL holds, at most limit bytes. It ends when the server doesn't begin to answer or stops sending.
func (d *download) get(ctx context.Context, address string, limit int64, to io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(d.answer, func() { cancel(errStalled) })
	defer watch.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the address, which makes a long line
		}
		d.unreachable = stalled(ctx, err)
		return d.unreachable
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path.Base(address), response.Status)
	}
	left := io.LimitReader(response.Body, limit+1)
	buffer := make([]byte, 256<<10)
	for total := int64(0); ; {
		watch.Reset(d.stall)
		n, err := left.Read(buffer)
		if total += int64(n); total > limit {
			return fmt.Errorf("%s is larger than %d bytes", path.Base(address), limit)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path.Base(address), stalled(ctx, err))
		}
	}
}

// stalled tells the true cause of an error that our own watch brought about.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}
