package images

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ai-film/ai-film/local/internal/progress"
)

// Base is what the services' Containerfiles build on.
const Base = "docker.io/library/debian:trixie-slim"

// registryReached says whether Docker Hub answers; AI_FILM_REGISTRY=off treats it as out of reach.
func registryReached(ctx context.Context) bool {
	if os.Getenv("AI_FILM_REGISTRY") == "off" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://registry-1.docker.io/v2/", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	// 401 is the registry's greeting to those without a token.
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}

// slim drops what Debian's official slim images drop.
var slim = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*",
	"path-exclude=/usr/share/info/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/lintian/*",
}

// debootstrap makes the base image from Debian's packages, under the official name.
func (b *Builder) debootstrap(ctx context.Context) error {
	tar := filepath.Join(b.Places.Cache, "debian-trixie.tar")
	defer os.Remove(tar)
	args := []string{"--variant=minbase", "--quiet", "--include=ca-certificates"}
	for _, option := range slim {
		args = append(args, "--dpkgopt="+option)
	}
	// As in the official images: apt keeps neither what it downloads nor caches of its lists (94 MB in every layer that
	// installs), and dpkg doesn't wait for the disk after each file, since a build that is interrupted is made anew.
	args = append(args, `--customize-hook=printf '%s\n' 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };' `+
		`'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' > "$1/etc/apt/apt.conf.d/docker-clean"`,
		`--customize-hook=echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"`,
		"--customize-hook=rm -rf $1/var/lib/apt/lists/*", "trixie", tar)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	out, err := cmd.CombinedOutput()
	progress.Ran(ctx, cmd)
	if err != nil {
		return fmt.Errorf("%w\nRemedy: Debian's archive (deb.debian.org) must be in reach; check the network, or set http_proxy",
			commandError("mmdebstrap trixie", lastBytes(out, 2000), err))
	}
	return b.Engine.Import(ctx, tar, Base, b.log("debian"))
}

// base makes sure the engine's store holds the base image.
func (b *Builder) base(ctx context.Context) error {
	b.baseMu.Lock()
	defer b.baseMu.Unlock()
	if b.Engine.Has(ctx, Base) {
		return nil
	}
	if registryReached(ctx) {
		return b.Log.Do(ctx, "pull "+Base, "", func(ctx context.Context) error { return b.Engine.Pull(ctx, Base, b.log("debian")) })
	}
	if b.Engine.Program != "buildah" {
		return fmt.Errorf("Docker Hub is out of reach, so %s can't be pulled: check the network or a mirror in the "+
			"configuration of %s; on Debian, `AI_FILM_ENGINE=buildah` makes it from Debian's packages instead", Base, b.Engine.Program)
	}
	return b.Log.Do(ctx, "make "+Base+" from Debian's packages (Docker Hub is out of reach)", "about 20 s", b.debootstrap)
}

func lastBytes(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// BaseImage makes sure the base image is there and returns it, to be loaded into the node.
func (b *Builder) BaseImage(ctx context.Context) (Image, error) {
	return Image{Name: "debian", Ref: Base}, b.base(ctx)
}
