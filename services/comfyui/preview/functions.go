package preview

import (
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"runtime"
	"strconv"
	"strings"

	xdraw "golang.org/x/image/draw"

	"github.com/ai-film/ai-film/services/comfyui/animatic"
)

// The values that travel over a graph's links.
type (
	model        struct{ name string }
	conditioning struct{ texts []string }
	latent       struct {
		width, height, batch int           // px
		images               []*image.RGBA // nil for an empty latent
	}
	images []*image.RGBA
	mask   struct{ of *image.RGBA }
)

// outOfMemory is a batch too large for this server.
type outOfMemory string

func (o outOfMemory) Error() string { return string(o) }

// functions do what the nodes do.
var functions = map[string]func(x *execution, id string, in map[string]any) (*cached, error){
	"CheckpointLoaderSimple": func(_ *execution, _ string, in map[string]any) (*cached, error) {
		m := model{text(in["ckpt_name"])}
		return &cached{outputs: []any{m, m, m}}, nil
	},
	"LoraLoader":       func(_ *execution, _ string, in map[string]any) (*cached, error) { return put(in["model"], in["clip"]) },
	"CLIPSetLastLayer": func(_ *execution, _ string, in map[string]any) (*cached, error) { return put(in["clip"]) },
	"CLIPTextEncode": func(_ *execution, _ string, in map[string]any) (*cached, error) {
		return put(conditioning{[]string{text(in["text"])}})
	},
	"ConditioningCombine": func(_ *execution, _ string, in map[string]any) (*cached, error) {
		return put(join(in["conditioning_1"], in["conditioning_2"]))
	},
	"ConditioningConcat": func(_ *execution, _ string, in map[string]any) (*cached, error) {
		return put(join(in["conditioning_to"], in["conditioning_from"]))
	},
	"ConditioningZeroOut": func(_ *execution, _ string, _ map[string]any) (*cached, error) { return put(conditioning{}) },
	"EmptyLatentImage":    emptyLatent,
	"KSampler":            sample,
	"VAEDecode":           decodeLatent,
	"VAEEncode":           encodeImage,
	"ImageScale":          scale,
	"LoadImage":           load,
	"SaveImage": func(x *execution, _ string, in map[string]any) (*cached, error) {
		return x.save(in, "output", text(in["filename_prefix"]))
	},
	"PreviewImage": func(x *execution, id string, in map[string]any) (*cached, error) {
		return x.save(in, "temp", "ComfyUI_temp_"+x.key(id)[:5])
	},
}

func put(outputs ...any) (*cached, error) { return &cached{outputs: outputs}, nil }

func text(v any) string {
	s, _ := v.(string)
	return s
}

func whole(v any) int {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return int(i)
}

func real(v any) float64 {
	n, _ := v.(json.Number)
	f, _ := n.Float64()
	return f
}

func join(a, b any) conditioning {
	return conditioning{append(append([]string{}, a.(conditioning).texts...), b.(conditioning).texts...)}
}

func emptyLatent(x *execution, _ string, in map[string]any) (*cached, error) {
	l := latent{width: whole(in["width"]) / 8 * 8, height: whole(in["height"]) / 8 * 8, batch: whole(in["batch_size"])}
	if pixels := l.width * l.height * l.batch; pixels > x.server.options.MaxPixels {
		return nil, outOfMemory(fmt.Sprintf("%d × %d × %d pixels are more than the %d this preview server draws at once; make the image or the batch smaller",
			l.width, l.height, l.batch, x.server.options.MaxPixels))
	}
	return put(l)
}

// sample draws the frames of a latent, pass by pass; every step is reported and can be interrupted.
func sample(x *execution, id string, in map[string]any) (*cached, error) {
	l := in["latent_image"].(latent)
	number, _ := in["seed"].(json.Number)
	seed, err := strconv.ParseUint(number.String(), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("seed %s: %w", number, err)
	}
	steps, strength := whole(in["steps"]), real(in["denoise"])
	out := latent{width: l.width, height: l.height, batch: l.batch}
	var drawings []*animatic.Drawing
	for i := range l.batch {
		frame := animatic.Frame{
			Positive: strings.Join(in["positive"].(conditioning).texts, ", "), Negative: strings.Join(in["negative"].(conditioning).texts, ", "),
			Seed: seed + uint64(i)*0x9e3779b97f4a7c15, Steps: steps, CFG: real(in["cfg"]), Width: l.width, Height: l.height, Strength: strength,
		}
		if l.images != nil {
			frame.Start = l.images[i]
		}
		drawings = append(drawings, animatic.New(frame))
	}
	for step := range steps {
		if err := x.progress(id, step, steps); err != nil {
			return nil, err
		}
		for _, d := range drawings {
			d.Step(step)
		}
	}
	if err := x.progress(id, steps, steps); err != nil {
		return nil, err
	}
	for _, d := range drawings {
		out.images = append(out.images, d.Image())
	}
	return put(out)
}

func decodeLatent(_ *execution, _ string, in map[string]any) (*cached, error) {
	l := in["samples"].(latent)
	if l.images == nil { // an empty latent decodes to flat grey
		for range l.batch {
			img := image.NewRGBA(image.Rect(0, 0, l.width, l.height))
			for i := range img.Pix {
				img.Pix[i] = 127 | uint8(i&3/3)<<7 // opaque
			}
			l.images = append(l.images, img)
		}
	}
	return put(images(l.images))
}

func encodeImage(_ *execution, _ string, in map[string]any) (*cached, error) {
	pixels := in["pixels"].(images)
	size := pixels[0].Rect.Size()
	w, h := size.X/8*8, size.Y/8*8
	if w == 0 || h == 0 {
		return nil, fmt.Errorf("an image of %d × %d pixels is too small to encode; 8 × 8 is the least", size.X, size.Y)
	}
	l := latent{width: w, height: h, batch: len(pixels)}
	for _, img := range pixels {
		cut := image.NewRGBA(image.Rect(0, 0, w, h))
		draw.Draw(cut, cut.Rect, img, image.Pt((size.X-w)/2, (size.Y-h)/2), draw.Src)
		l.images = append(l.images, cut)
	}
	return put(l)
}

func scale(x *execution, _ string, in map[string]any) (*cached, error) {
	pixels := in["image"].(images)
	size := pixels[0].Rect.Size()
	w, h := whole(in["width"]), whole(in["height"])
	switch { // 0 keeps the proportions
	case w == 0 && h == 0:
		return put(pixels)
	case w == 0:
		w = max(1, (size.X*h+size.Y/2)/size.Y)
	case h == 0:
		h = max(1, (size.Y*w+size.X/2)/size.X)
	}
	if w*h*len(pixels) > x.server.options.MaxPixels {
		return nil, outOfMemory(fmt.Sprintf("%d × %d pixels are more than this preview server holds", w, h))
	}
	from := image.Rectangle{Max: size}
	if text(in["crop"]) == "center" {
		if size.X*h > size.Y*w {
			cut := size.Y * w / h
			from.Min.X, from.Max.X = (size.X-cut)/2, (size.X+cut)/2
		} else {
			cut := size.X * h / w
			from.Min.Y, from.Max.Y = (size.Y-cut)/2, (size.Y+cut)/2
		}
	}
	kernel := map[string]xdraw.Interpolator{"nearest-exact": xdraw.NearestNeighbor, "bilinear": xdraw.BiLinear}[text(in["upscale_method"])]
	if kernel == nil {
		kernel = xdraw.CatmullRom
	}
	var out images
	for _, img := range pixels {
		// The scaler's scratch is eight times the picture: there is room for one, not for what the last ones left.
		if scratch := 32 * w * size.Y; scratch > 16<<20 {
			runtime.GC()
		}
		to := image.NewRGBA(image.Rect(0, 0, w, h))
		kernel.Scale(to, to.Rect, img, from, xdraw.Src, nil)
		out = append(out, to)
	}
	return put(out)
}

func load(x *execution, _ string, in map[string]any) (*cached, error) {
	img, err := x.server.files.load(text(in["image"]), x.server.options.MaxPixels)
	if err != nil {
		return nil, err
	}
	return put(images{img}, mask{img})
}
