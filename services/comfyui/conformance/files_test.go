package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/graph"
)

func picture(c color.Color) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 96, 64))
	for i := range 96 * 64 {
		img.Set(i%96, i/96, c)
	}
	var out bytes.Buffer
	png.Encode(&out, img)
	return out.Bytes()
}

func (s *suite) upload(t *testing.T) {
	name := "ünïcode 港 " + uuid.NewString()[:8] + ".png"
	red, blue := picture(color.RGBA{255, 0, 0, 255}), picture(color.RGBA{0, 0, 255, 255})
	put := func(data []byte, fields map[string]string) Image {
		t.Helper()
		status, text, err := s.Upload(s.ctx, name, data, fields)
		must(t, err)
		var got struct {
			Name      string `json:"name"`
			Subfolder string `json:"subfolder"`
			Type      string `json:"type"`
		}
		if json.Unmarshal(text, &got); status != 200 || got.Name == "" || got.Type != "input" {
			t.Fatalf("upload: status %d %s", status, text)
		}
		return Image{got.Name, got.Subfolder, got.Type}
	}
	first := put(red, nil)
	if first.Filename != name {
		t.Errorf("uploaded as %q", first.Filename)
	}
	if again := put(red, nil); again.Filename != name {
		t.Errorf("the same image again is %q", again.Filename)
	}
	second := put(blue, nil)
	if second.Filename == name {
		t.Error("another image took the first one's name")
	}
	if in := put(blue, map[string]string{"subfolder": s.film}); in.Subfolder != s.film {
		t.Errorf("subfolder: %+v", in)
	}
	if over := put(blue, map[string]string{"overwrite": "true"}); over.Filename != name {
		t.Errorf("overwrite made %q", over.Filename)
	}
	data, err := s.View(s.ctx, first)
	must(t, err)
	if !bytes.Equal(data, blue) {
		t.Error("overwrite did not")
	}
	if status, _, err := s.Upload(s.ctx, "evil.png", red, map[string]string{"subfolder": "../../etc"}); err != nil || status != http.StatusBadRequest {
		t.Errorf("upload outside: status %d, %v", status, err)
	}
	// the uploaded image in a graph: LoadImage → VAEEncode → KSampler at low denoise keeps its colour
	var tree map[string]any
	must(t, json.Unmarshal(s.graph(t, nil), &tree))
	tree["10"] = map[string]any{"class_type": "LoadImage", "inputs": map[string]any{"image": second.Filename}}
	tree["11"] = map[string]any{"class_type": "VAEEncode", "inputs": map[string]any{"pixels": []any{"10", 0}, "vae": []any{"1", 2}}}
	sampler := tree["5"].(map[string]any)["inputs"].(map[string]any)
	sampler["latent_image"], sampler["denoise"] = []any{"11", 0}, 0.2
	delete(tree, "4")
	g, err := json.Marshal(tree)
	must(t, err)
	for range 2 { // through a relay: on either server
		_, made := s.make(t, edit(t, g, "5", "seed", rand.Uint64()))
		img, err := png.Decode(bytes.NewReader(made))
		must(t, err)
		r, _, b, _ := img.At(48, 32).RGBA()
		if img.Bounds().Size() != image.Pt(96, 64) || b < r {
			t.Errorf("made of a blue 96 × 64 image: %v, %v", img.Bounds().Size(), img.At(48, 32))
		}
	}
	refused := s.refused(t, map[string]any{"prompt": edit(t, g, "10", "image", "no such file.png")})
	if n := refused.nodeErrors()["10"]; len(n.Errors) == 0 || n.Errors[0].Type != "custom_validation_failed" {
		t.Errorf("missing image: %s", refused.Nodes)
	}
}

func (s *suite) view(t *testing.T) {
	for query, want := range map[string][]int{
		"":                                 {404},
		"filename=none.png":                {404},
		"filename=..%2F..%2Fetc%2Fpasswd":  {400, 403},
		"filename=%2Fetc%2Fpasswd":         {400, 403},
		"filename=x.png&type=nowhere":      {400},
		"filename=x.png&subfolder=..%2F..": {403},
		"filename=x.png&subfolder=%2Fetc":  {403},
	} {
		status, _, err := s.Do(s.ctx, "GET", "/view?"+query, nil)
		must(t, err)
		if !slices.Contains(want, status) {
			t.Errorf("/view?%s: status %d, want %v", query, status, want)
		}
	}
	r, _ := s.make(t, s.graph(t, nil))
	i := r.Outputs[graph.SaveNode].Images[0]
	status, data, err := s.Do(s.ctx, "GET", fmt.Sprintf("/view?filename=%s&subfolder=%s&type=output&preview=jpeg;80", i.Filename, i.Subfolder), nil)
	must(t, err)
	if status != 200 || !bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
		t.Errorf("preview as JPEG: status %d, %d bytes", status, len(data))
	}
	status, data, err = s.Do(s.ctx, "GET", fmt.Sprintf("/view?filename=%s&subfolder=%s&type=output&channel=rgb", i.Filename, i.Subfolder), nil)
	must(t, err)
	if status != 200 || !bytes.HasPrefix(data, []byte("\x89PNG")) {
		t.Errorf("channel rgb: status %d, %d bytes", status, len(data))
	}
}

func (s *suite) forget(t *testing.T) {
	a, b := s.submit(t, s.graph(t, nil), ""), s.submit(t, s.graph(t, nil), "")
	for _, id := range []string{a, b} {
		_, err := s.Wait(s.ctx, id)
		must(t, err)
	}
	var all map[string]*Record
	must(t, s.JSON(s.ctx, "GET", "/history", nil, &all))
	if all[a] == nil || all[b] == nil {
		t.Error("history lacks what was just made")
	}
	var one map[string]*Record
	must(t, s.JSON(s.ctx, "GET", "/history?max_items=1", nil, &one))
	if len(one) != 1 || one[a] == nil && one[b] == nil { // behind a relay, either may have ended last
		t.Errorf("max_items=1 has %d entries", len(one))
	}
	must(t, s.JSON(s.ctx, "POST", "/history", map[string]any{"delete": []string{a}}, nil))
	if r, err := s.History(s.ctx, a); err != nil || r != nil {
		t.Errorf("deleted, yet there: %v %v", r, err)
	}
	if r, err := s.History(s.ctx, b); err != nil || r == nil {
		t.Errorf("not deleted, yet gone: %v", err)
	}
}

func (s *suite) text(t *testing.T) {
	for _, text := range []string{"", " ", "Ein Leuchtturm am Meer, Abenddämmerung — «Mära»", "灯台の下で、少年が海を見ている", "🌊🌙 \"quoted\" \\ back\tslash\nnew line",
		"(((broken (brackets", strings.Repeat("very long prompt, ", 40), "\u0000 nul"} {
		s.make(t, s.graph(t, func(p *graph.Params) { p.Positive = text }))
	}
	s.make(t, s.graph(t, func(p *graph.Params) { p.Seed = 1<<64 - 1 }))
}

func (s *suite) reconnect(t *testing.T) {
	s.idle(t)
	client := uuid.NewString()
	first, cancel := context.WithCancel(s.ctx)
	old, err := s.Listen(first, client)
	must(t, err)
	<-old
	cancel()
	messages, err := s.Listen(s.ctx, client)
	must(t, err)
	if m := <-messages; m.Type != "status" || m.Text("sid") != client {
		t.Fatalf("first message: %+v", m)
	}
	id := s.submit(t, s.graph(t, nil), client)
	for m := range messages {
		if m.Type == "executing" && m.Text("prompt_id") == id && string(m.Data["node"]) == "null" {
			return
		}
	}
	t.Error("the client that came back heard nothing")
}

func (s *suite) broken(t *testing.T) {
	for _, text := range []string{"{", "[]", `"x"`, "{\"prompt\": []}", "{\"prompt\": {\"1\": 5}}"} {
		status, answer, err := s.send(s.ctx, "POST", "/prompt", "application/json", strings.NewReader(text))
		must(t, err)
		if status < 400 {
			t.Errorf("%s: status %d %s", text, status, answer)
		}
	}
	s.make(t, s.graph(t, nil)) // and it is still there
}
