package main

import (
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/ai-film/ai-film/services/conformance"
)

type m = map[string]any

// TestHostileStills gives the service stills that are made to cost memory or time, and the largest that it takes: all of it
// stays within the least memory that any profile gives the container, Blender's included.
func TestHostileStills(t *testing.T) {
	limit := conformance.MemoryLimit(t, "blender")
	const reserve = 128 << 20
	t.Setenv("JOB_MEMORY_MIB", strconv.FormatInt((limit-reserve)>>20, 10))
	target := conformance.StartSelf(t, "blender.json")
	peak := target.Watch(t)
	dir := filepath.Join(target.Data, "images/films/f1/s01-01")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	move := func(still string, width, height int) (string, *conformance.Problem) {
		return target.Job(t, "move", m{"still": "images/films/f1/s01-01/" + still, "output": "images/films/f1/s01-01/move", "width": width, "height": height, "fps": 12, "frames": 1, "move": "orbit-left"})
	}
	pngs := conformance.HostilePNGs()
	for _, name := range slices.Sorted(maps.Keys(pngs)) {
		if err := os.WriteFile(filepath.Join(dir, "still.png"), pngs[name], 0o666); err != nil {
			t.Fatal(err)
		}
		// Of some only what is no pixel is strange, and nobody looks at that.
		harmless := []string{"a text of a gibibyte", "a profile of a gibibyte", "followed by more than its pixels", "an animation with a huge picture"}
		if state, p := move("still.png", 160, 96); (state == "done" || p == nil || p.Status != 422) && (state != "done" || !slices.Contains(harmless, name)) {
			t.Errorf("%s: %s %+v", name, state, p)
		}
	}
	// The largest still, in the deepest colours, and the domain's largest picture.
	large := image.NewNRGBA64(image.Rect(0, 0, 4096, 2304))
	for y := range 2304 {
		for x := range 4096 {
			v := uint16(x*31+y*57+x*y) | 1<<14
			large.SetNRGBA64(x, y, color.NRGBA64{R: v, G: 65535 - v, B: uint16(y * 28), A: 65535})
		}
	}
	f, err := os.Create(filepath.Join(dir, "large.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, large); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if state, p := move("large.png", 1920, 1080); state != "done" {
		t.Errorf("the largest still: %s %+v", state, p)
	}
	most := peak()
	t.Logf("%d MiB at most, of %d", most>>20, limit>>20)
	if most > limit {
		t.Error("the container would have been killed")
	}
}
