package roots

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ai-film/ai-film/local/internal/place"
	"github.com/ai-film/ai-film/local/internal/progress"
)

// FreshImage is the name under which enter knows the machine that Fresh makes.
const FreshImage = "fresh"

// readme are the packages that README asks for, besides Go; git brought the checkout.
var readme = []string{"make", "git", "ca-certificates", "python3"}

// reach is how this machine reaches its package registries: settings that a machine has before anybody works on it.
var reach = []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/apt/auth.conf.d", "/etc/apt/keyrings",
	"/etc/apt/trusted.gpg.d", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/root/.config/go/env", "/root/.config/pip", "/root/.npmrc"}

// Fresh makes a machine that nobody prepared: Debian 12's minimal system and what README names, with this machine's Go, its
// way to the registries and its caches. What is written to it is kept in memory and gone with the process that enters it.
// What a command needs beyond that fails in there, whatever this machine has.
func Fresh(ctx context.Context, p place.Places, log *progress.Log) (dir string, err error) {
	dir = Dir(p)
	system := filepath.Join(dir, "debian-bookworm")
	for _, d := range []string{filepath.Join(dir, "bin"), filepath.Join(dir, "mount")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	if !exists(system) {
		err := log.Do(ctx, "make Debian 12's minimal system, with "+strings.Join(readme, ", "), "about 30 s", func(ctx context.Context) error {
			making := system + ".tmp"
			if err := os.RemoveAll(making); err != nil {
				return err
			}
			cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=minbase", "--quiet", "--include="+strings.Join(readme, ","), "bookworm", making)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("mmdebstrap bookworm: %w: %s", err, out)
			}
			return os.Rename(making, system)
		})
		if err != nil {
			return "", err
		}
	}
	access := filepath.Join(dir, "reach")
	if err := os.RemoveAll(access); err != nil {
		return "", err
	}
	for _, from := range reach {
		if err := copyTo(access, from); err != nil {
			return "", err
		}
	}
	if list := filepath.Join(access, "etc/apt/sources.list"); exists(access+"/etc/apt/sources.list.d") && !exists(list) {
		if err := os.WriteFile(list, nil, 0o644); err != nil { // in place of the one that names the same again
			return "", err
		}
	}
	root := Root{Layers: []string{access, system}, Alone: true}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	root.Shared = strings.Fields(string(out))
	root.Env = []string{"PATH=" + filepath.Join(root.Shared[0], "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := root.write(dir, FreshImage); err != nil {
		return "", err
	}
	return dir, compile(ctx, p, filepath.Join(dir, "bin"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// copyTo copies a file or a directory to the same path below dir; what isn't there is no error.
func copyTo(dir, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, path)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := os.ReadFile(path) // through links, whose targets the copy has not
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	})
}
