package images

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// kept is how many tags of an image stay, so that a rollback of the release still finds its images.
const kept = 3

// Prune removes all but the newest tags of our images from the builder's store and, if it runs, from the node. Images
// that are not ours are never touched; what can't be removed (somebody uses it) is left for the next time.
func (b *Builder) Prune(ctx context.Context) {
	if b.Engine.Program != "buildah" {
		return // Docker's and Podman's stores are the user's to tidy
	}
	out, err := exec.CommandContext(ctx, "buildah", append(append([]string{}, b.Engine.global...), "images", "--json")...).Output()
	if err != nil {
		return
	}
	node, err := b.onNode(ctx)
	if err != nil {
		node = nil
	}
	for _, ref := range superseded(out) {
		_ = exec.CommandContext(ctx, "buildah", append(append([]string{}, b.Engine.global...), "rmi", ref)...).Run()
		if node[ref] {
			_ = b.ctr(ctx, "images", "remove", ref).Run()
			_ = os.Remove(filepath.Join(b.Places.State, "loaded", noteName(ref)))
		}
	}
}

// superseded takes `buildah images --json` and returns our references that have at least kept newer ones.
func superseded(listing []byte) []string {
	var images []struct {
		Names   []string `json:"names"`
		Created int64    `json:"created"` // Unix seconds
	}
	if json.Unmarshal(listing, &images) != nil {
		return nil
	}
	type tagged struct {
		ref     string
		created int64
	}
	byRepository := map[string][]tagged{}
	for _, i := range images {
		for _, ref := range i.Names {
			if strings.HasPrefix(ref, "docker.io/aifilm/") {
				repository := ref[:strings.LastIndex(ref, ":")]
				byRepository[repository] = append(byRepository[repository], tagged{ref, i.Created})
			}
		}
	}
	var old []string
	for _, tags := range byRepository {
		sort.Slice(tags, func(i, j int) bool { return tags[i].created > tags[j].created })
		for _, t := range tags[min(kept, len(tags)):] {
			old = append(old, t.ref)
		}
	}
	sort.Strings(old)
	return old
}

func noteName(ref string) string { return strings.NewReplacer("/", "_", ":", "_").Replace(ref) }
