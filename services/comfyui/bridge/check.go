package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/graph"
)

// Measured is what a server showed when it was looked at.
type Measured struct {
	GPU       string  `json:"gpu"`           // its name, "" for none
	VRAM      float64 `json:"vram_gib"`      // memory of the GPU
	Version   string  `json:"comfyui"`       // its release
	RoundTrip float64 `json:"round_trip_ms"` // of its cheapest answer, the best of three
	First     float64 `json:"first_seconds"` // the first trial picture, models loaded
	Next      float64 `json:"next_seconds"`  // the next
}

// UnfitError says why a server is not used.
type UnfitError struct{ Title, Detail, Remedy string }

func (e *UnfitError) Error() string { return e.Title + ": " + e.Detail }

// Trials: pictures of this size and so many steps. A GPU of the last ten years draws the second, with its models loaded, in
// seconds; a CPU takes minutes. A single answer is waited for as long as answerTime.
const (
	trialSteps = 4
	gpuTime    = 25 * time.Second
	answerTime = time.Minute
)

// Largest answers, bytes.
const (
	maxAnswer  = 4 << 20
	maxPicture = 16 << 20
)

// checker looks at servers.
type checker struct {
	client     func(base *url.URL) *http.Client
	checkpoint string
	requireGPU bool
	patience   time.Duration // for the first trial picture
	pace       time.Duration // that the next must not exceed where a GPU is asked for
	wait       time.Duration // for a single answer: ComfyUI is slow while it loads a model
}

// check looks at the server at base and has it draw. step is told what is under way. What keeps it from being used is an
// *UnfitError.
func (k *checker) check(ctx context.Context, base string, step func(string)) (Measured, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Measured{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*k.patience+2*time.Minute, errors.New("it took too long to answer"))
	defer cancel()
	s := &server{base: base, client: k.client(u), wait: k.wait}
	defer s.client.CloseIdleConnections()
	step("asks what it is")
	m, err := k.stats(ctx, s)
	if err != nil {
		return m, err
	}
	step("looks for nodes and models")
	if err := k.equipped(ctx, s); err != nil {
		return m, err
	}
	step("has it draw")
	first, err := k.trial(ctx, s, k.patience)
	if err != nil {
		return m, err
	}
	step("has it draw again")
	next, err := k.trial(ctx, s, k.patience)
	if err != nil {
		return m, err
	}
	m.First, m.Next = first.Seconds(), next.Seconds()
	if k.requireGPU && next > k.pace {
		return m, &UnfitError{"no GPU", fmt.Sprintf("it says it draws with %s, and took %.0f s for %d steps of a small picture: that is the pace of a CPU", m.GPU, next.Seconds(), trialSteps),
			"choose a runtime with a GPU, or set processing.comfyui.bridge.requireGPU=false"}
	}
	return m, nil
}

func (k *checker) stats(ctx context.Context, s *server) (m Measured, err error) {
	var stats struct {
		System *struct {
			Version string   `json:"comfyui_version"`
			Torch   string   `json:"pytorch_version"`
			Argv    []string `json:"argv"`
		} `json:"system"`
		Devices []struct {
			Name string  `json:"name"`
			Type string  `json:"type"`
			VRAM float64 `json:"vram_total"`
		} `json:"devices"`
	}
	for range 3 {
		began := time.Now()
		if err := s.ask(ctx, "GET", "/system_stats", nil, maxAnswer, &stats); err != nil {
			return m, foreign("/system_stats", err)
		}
		if trip := time.Since(began).Seconds() * 1000; m.RoundTrip == 0 || trip < m.RoundTrip {
			m.RoundTrip = trip
		}
	}
	if stats.System == nil || stats.System.Version == "" || len(stats.Devices) == 0 {
		return m, foreign("/system_stats", errors.New("it names no release of ComfyUI and no device"))
	}
	m.Version = clip(stats.System.Version)
	for _, d := range stats.Devices {
		if d.Type != "cpu" && d.Type != "" && m.GPU == "" {
			m.GPU, m.VRAM = clip(d.Name), d.VRAM/(1<<30)
		}
	}
	if !k.requireGPU {
		return m, nil
	}
	why := ""
	switch {
	case m.GPU == "":
		why = fmt.Sprintf("its only device is %q of type %q", clip(stats.Devices[0].Name), clip(stats.Devices[0].Type))
	case strings.HasSuffix(stats.System.Torch, "+cpu") || slices.Contains(stats.System.Argv, "--cpu"):
		why = fmt.Sprintf("it names the device %q, and runs without one (PyTorch %s)", m.GPU, clip(stats.System.Torch))
	case m.VRAM < 2 || m.VRAM > 2048:
		why = fmt.Sprintf("its device %q has %.1f GiB of memory", m.GPU, m.VRAM)
	}
	if why != "" {
		return m, &UnfitError{"no GPU", why, "choose a runtime with a GPU (Colab: Runtime, Change runtime type, T4 GPU), or set processing.comfyui.bridge.requireGPU=false"}
	}
	return m, nil
}

// equipped tells which nodes and models of the studio's graph a server lacks, if any.
func (k *checker) equipped(ctx context.Context, s *server) error {
	var missing, models []string
	for _, class := range classes() {
		var info map[string]struct {
			Input struct {
				Required map[string][]json.RawMessage `json:"required"`
			} `json:"input"`
		}
		if err := s.ask(ctx, "GET", "/object_info/"+class, nil, maxAnswer, &info); err != nil {
			return foreign("/object_info/"+class, err)
		}
		node, has := info[class]
		if !has {
			missing = append(missing, class)
			continue
		}
		if offered := node.Input.Required["ckpt_name"]; len(offered) > 0 {
			json.Unmarshal(offered[0], &models)
		}
	}
	var lacks []string
	if len(missing) > 0 {
		lacks = append(lacks, "the nodes "+strings.Join(missing, ", "))
	}
	if !slices.Contains(models, k.checkpoint) {
		has := "none"
		if len(models) > 0 {
			has = clip(strings.Join(models, ", "))
		}
		lacks = append(lacks, fmt.Sprintf("the checkpoint %s (it has %s)", k.checkpoint, has))
	}
	if len(lacks) > 0 {
		return &UnfitError{"not equipped", "it lacks " + strings.Join(lacks, ", and "), "put the model into models/checkpoints there and restart ComfyUI, or name one that it has: global.comfyui.checkpoint"}
	}
	return nil
}

// classes are the nodes of the studio's graph.
func classes() []string {
	text, err := graph.TextToImage(graph.Params{})
	if err != nil {
		panic(err) // the template is ours, and tested
	}
	var nodes map[string]struct {
		Class string `json:"class_type"`
	}
	json.Unmarshal(text, &nodes)
	var all []string
	for _, n := range nodes {
		all = append(all, n.Class)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// trial has the server draw the studio's graph, in a size that nobody knew before, and looks whether that is what comes back.
func (k *checker) trial(ctx context.Context, s *server, patience time.Duration) (time.Duration, error) {
	width, height := 8*(40+rand.IntN(24)), 8*(40+rand.IntN(24))
	text, err := graph.TextToImage(graph.Params{Checkpoint: k.checkpoint, Positive: "wide shot, exterior, a lighthouse on a cliff at dusk", Negative: "text",
		Width: width, Height: height, Seed: rand.Uint64(), Steps: trialSteps, CFG: 6, FilenamePrefix: "ai-film-trial/" + uuid.NewString()})
	if err != nil {
		return 0, err
	}
	own, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var answer struct {
		ID string `json:"prompt_id"`
	}
	began := time.Now()
	if err := s.ask(own, "POST", "/prompt", map[string]any{"prompt": text, "prompt_id": uuid.NewString(), "front": true}, maxAnswer, &answer); err != nil {
		return 0, trialFailed(err)
	}
	if answer.ID == "" || len(answer.ID) > 100 {
		return 0, foreign("/prompt", errors.New("no prompt_id"))
	}
	defer func() { // the trial leaves nothing but its picture
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		s.ask(late, "POST", "/queue", map[string]any{"delete": []string{answer.ID}}, maxAnswer, nil)
		s.ask(late, "POST", "/history", map[string]any{"delete": []string{answer.ID}}, maxAnswer, nil)
	}()
	type picture struct {
		Filename  string `json:"filename"`
		Subfolder string `json:"subfolder"`
		Type      string `json:"type"`
	}
	var record struct {
		Status struct {
			Text string `json:"status_str"`
		} `json:"status"`
		Outputs map[string]struct {
			Images []picture `json:"images"`
		} `json:"outputs"`
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		history := map[string]json.RawMessage{}
		if err := s.ask(own, "GET", "/history/"+url.PathEscape(answer.ID), nil, maxAnswer, &history); err != nil {
			return 0, trialFailed(err)
		}
		if raw := history[answer.ID]; raw != nil {
			if err := json.Unmarshal(raw, &record); err != nil {
				return 0, foreign("/history", err)
			}
			break
		}
		select {
		case <-time.After(pause):
		case <-own.Done():
			return 0, trialFailed(own.Err())
		}
	}
	took := time.Since(began)
	images := record.Outputs[graph.SaveNode].Images
	if record.Status.Text != "success" || len(images) == 0 {
		return 0, &UnfitError{"does not draw", "its trial picture ended with " + clip(record.Status.Text), "look at ComfyUI's log there: out of memory?"}
	}
	query := url.Values{"filename": {images[0].Filename}, "subfolder": {images[0].Subfolder}, "type": {images[0].Type}}
	content, err := s.read(own, "GET", "/view?"+query.Encode(), nil, maxPicture)
	if err != nil {
		return 0, trialFailed(err)
	}
	return took, drawn(content, width, height)
}

// drawn tells what is wrong with a trial picture. Its size is looked at before it is unpacked.
func drawn(content []byte, width, height int) error {
	wrong := func(format string, args ...any) error {
		return &UnfitError{"does not draw", "its trial picture is " + fmt.Sprintf(format, args...), "point the tunnel at ComfyUI itself, and look at its log"}
	}
	c, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return wrong("no PNG: %v", err)
	}
	if c.Width != width || c.Height != height {
		return wrong("%d × %d pixels, and %d × %d were asked for", c.Width, c.Height, width, height)
	}
	picture, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		return wrong("a broken PNG: %v", err)
	}
	one := picture.At(0, 0)
	for y := 0; y < height; y += 4 {
		for x := 0; x < width; x += 4 {
			if picture.At(x, y) != one {
				return nil
			}
		}
	}
	return wrong("of one colour")
}

func foreign(path string, err error) error {
	return &UnfitError{"no ComfyUI", path + ": " + clip(err.Error()), "give the URL under which ComfyUI's own page opens"}
}

func trialFailed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &UnfitError{"does not draw", "its trial picture was not there in time", "wait until its models are loaded, and register again"}
	}
	return &UnfitError{"does not draw", clip(err.Error()), "look at ComfyUI's log there"}
}

// clip keeps what others said short and printable.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return text
}

// server is a ComfyUI under test.
type server struct {
	base   string
	client *http.Client
	wait   time.Duration
}

// read asks, and reads at most limit bytes.
func (s *server) read(ctx context.Context, method, path string, body any, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, s.base+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > limit:
		return nil, fmt.Errorf("an answer of more than %d MiB", limit>>20)
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, fmt.Errorf("status %d: redirects are not followed", answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d %.200s", answer.StatusCode, text)
	}
	return text, nil
}

// ask reads a JSON answer into a value, nil for none.
func (s *server) ask(ctx context.Context, method, path string, body any, limit int64, into any) error {
	text, err := s.read(ctx, method, path, body, limit)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("no JSON as ComfyUI's: %w", err)
	}
	return nil
}
