package images

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Layers returns the directories that an image of Buildah's store is made of, the uppermost first, and the environment of
// its configuration. The store's files are containers/storage's: overlay-images/images.json names an image's top layer,
// overlay/<layer>/link and lower the short names of that layer and of those below.
func (e Engine) Layers(ctx context.Context, ref string) (layers, env []string, err error) {
	if e.Program != "buildah" {
		return nil, nil, fmt.Errorf("%s: only Buildah's store lies open as directories (AI_FILM_ENGINE=buildah)", e.Program)
	}
	data, err := os.ReadFile(filepath.Join(e.store(), "overlay-images", "images.json"))
	if err != nil {
		return nil, nil, err
	}
	var all []struct {
		Names []string `json:"names"`
		Layer string   `json:"layer"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, nil, err
	}
	overlay := filepath.Join(e.store(), "overlay")
	for _, i := range all {
		if !slices.Contains(i.Names, ref) {
			continue
		}
		link, err := os.ReadFile(filepath.Join(overlay, i.Layer, "link"))
		if err != nil {
			return nil, nil, err
		}
		layers = []string{filepath.Join(overlay, "l", strings.TrimSpace(string(link)))}
		// A base layer has no lower.
		if lower, err := os.ReadFile(filepath.Join(overlay, i.Layer, "lower")); err == nil {
			for _, l := range strings.Split(strings.TrimSpace(string(lower)), ":") {
				layers = append(layers, filepath.Join(overlay, l))
			}
		}
		env, err = e.environment(ctx, ref)
		return layers, env, err
	}
	return nil, nil, fmt.Errorf("no image %s in %s", ref, e.store())
}

func (e Engine) environment(ctx context.Context, ref string) ([]string, error) {
	args := append(append([]string{}, e.global...), "inspect", "--type", "image", ref)
	out, err := exec.CommandContext(ctx, e.Program, args...).Output()
	if err != nil {
		return nil, commandError("inspect "+ref, out, err)
	}
	var described struct {
		OCIv1 struct{ Config struct{ Env []string } }
	}
	err = json.Unmarshal(out, &described)
	return described.OCIv1.Config.Env, err
}

// store is the directory of Buildah's --root.
func (e Engine) store() string {
	if at := slices.Index(e.global, "--root"); at >= 0 {
		return e.global[at+1]
	}
	return ""
}
