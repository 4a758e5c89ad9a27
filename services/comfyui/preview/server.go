// Package preview is a server that speaks ComfyUI's API and draws animatic frames from the graphs it is sent, so that
// the studio works, and can be tested, where there is no GPU. What it answers follows ComfyUI's server.py and
// execution.py; where it knowingly differs, a comment says so.
package preview

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-film/ai-film/services/comfyui/nodes"
	"github.com/ai-film/ai-film/services/comfyui/wire"
	"github.com/ai-film/ai-film/services/internal/serving"
	"github.com/ai-film/ai-film/services/limits"
)

// Version is the ComfyUI release whose API is spoken.
const Version = "0.38.1"

// Options configures a server.
type Options struct {
	Dir         string   // input, output and temp live below it; must exist
	Checkpoints []string // file names that CheckpointLoaderSimple offers
	Loras       []string
	MaxPixels   int           // of all images of one latent batch, and of one image that is read; more is refused as out of memory
	KeepBytes   int64         // of images, uploads included; the oldest go first
	KeepAge     time.Duration // of images
}

// Server is one preview server. Make it with New and let Run work off its queue.
type Server struct {
	options Options
	catalog *nodes.Catalog
	queue   *queue
	sockets wire.Sockets
	files   files
	work    executor
	bodies  *wire.Budget
	viewing chan struct{} // has a token while a picture is made into another

	mu          sync.Mutex
	client      string // whose prompt runs
	node        string // which node of it
	interrupted *job   // that is to end
}

// New makes a server and its directories.
func New(o Options) (*Server, error) {
	if o.MaxPixels == 0 {
		o.MaxPixels = 4 << 20
	}
	if o.KeepAge == 0 {
		o.KeepAge = 24 * time.Hour
	}
	if o.KeepBytes == 0 {
		o.KeepBytes = 512 << 20
	}
	s := &Server{options: o, bodies: wire.NewBudget(), viewing: make(chan struct{}, 1)}
	s.queue = newQueue(func() { s.sockets.Send("status", map[string]any{"status": s.queueInfo()}, "") })
	if err := s.files.open(o.Dir, o.KeepBytes, o.KeepAge); err != nil {
		return nil, err
	}
	s.catalog = nodes.NewCatalog(nodes.Files{
		Checkpoints: func() []string { return o.Checkpoints },
		Loras:       func() []string { return o.Loras },
		Images:      s.files.images, ImageExists: s.files.exists,
	})
	s.work = executor{server: s, cache: map[string]*cached{}}
	return s, nil
}

// Routes gives every route of the API to handle, each also under /api as ComfyUI has it. work wraps those that take new
// work.
func (s *Server) Routes(handle func(pattern string, h http.Handler), work func(http.Handler) http.Handler) {
	add := func(method, path string, h http.HandlerFunc) {
		for _, prefix := range []string{"", "/api"} {
			handle(method+" "+prefix+path, wire.SameOrigin(h))
		}
	}
	add("GET", "/ws", s.socket)
	add("GET", "/prompt", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, s.queueInfo()) })
	add("POST", "/prompt", work(http.HandlerFunc(s.submit)).ServeHTTP)
	add("GET", "/queue", func(w http.ResponseWriter, _ *http.Request) {
		running, waiting := s.queue.lists()
		wire.Answer(w, 200, map[string]any{"queue_running": running, "queue_pending": waiting})
	})
	add("POST", "/queue", func(w http.ResponseWriter, r *http.Request) { wire.ClearOrDelete(w, r, s.queue.remove, nil) })
	add("GET", "/history", s.history)
	add("GET", "/history/{id}", func(w http.ResponseWriter, r *http.Request) {
		wire.Answer(w, 200, s.queue.history(r.PathValue("id"), -1, -1))
	})
	add("POST", "/history", func(w http.ResponseWriter, r *http.Request) { wire.ClearOrDelete(w, r, s.queue.forget, nil) })
	add("POST", "/interrupt", s.interrupt)
	add("POST", "/free", s.free)
	add("GET", "/view", s.view)
	add("POST", "/upload/image", serving.Upload(work(http.HandlerFunc(s.upload))).ServeHTTP)
	handle("DELETE /v1/films/{film}", wire.SameOrigin(s.deleteFilm))
	add("GET", "/object_info", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, s.catalog.ObjectInfo("")) })
	add("GET", "/object_info/{node}", func(w http.ResponseWriter, r *http.Request) {
		wire.Answer(w, 200, s.catalog.ObjectInfo(r.PathValue("node")))
	})
	add("GET", "/system_stats", s.systemStats)
	add("GET", "/embeddings", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, []string{}) })
	add("GET", "/extensions", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, []string{}) })
	add("GET", "/features", func(w http.ResponseWriter, _ *http.Request) { wire.Answer(w, 200, s.features()) })
	models := map[string][]string{"checkpoints": s.options.Checkpoints, "loras": s.options.Loras, "vae": {}, "embeddings": {}}
	add("GET", "/models", func(w http.ResponseWriter, _ *http.Request) {
		wire.Answer(w, 200, []string{"checkpoints", "loras", "vae", "embeddings"})
	})
	add("GET", "/models/{folder}", func(w http.ResponseWriter, r *http.Request) {
		list, ok := models[r.PathValue("folder")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		wire.Answer(w, 200, slices.Concat([]string{}, list))
	})
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	release, ok := s.bodies.Reserve(w, r, wire.MaxPrompt)
	if !ok {
		return
	}
	defer release()
	in, id, ok := wire.ReadSubmission(w, r)
	if !ok {
		return
	}
	j := &job{id: id, clientID: in.Client}
	if in.Number != nil {
		j.number, _ = in.Number.Float64()
	}
	var err error
	if j.prompt, err = nodes.ParsePrompt(in.Prompt); err != nil {
		wire.Refuse(w, 400, "invalid_prompt", "The prompt is not a graph", err.Error())
		return
	}
	verdict := s.catalog.Validate(j.prompt, in.Partial)
	if verdict.Failure != nil {
		wire.Answer(w, 400, map[string]any{"error": verdict.Failure, "node_errors": verdict.NodeErrors})
		return
	}
	j.outputs = verdict.Outputs
	in.Extra["create_time"] = json.RawMessage(strconv.FormatInt(time.Now().UnixMilli(), 10))
	j.extra, _ = json.Marshal(in.Extra)
	if !s.queue.put(j, in.Number != nil, in.Front) {
		w.Header().Set("Retry-After", "10")
		wire.Refuse(w, http.StatusTooManyRequests, "queue_full", "The queue is full", fmt.Sprintf("at most %d prompts of %d MiB together wait; try again later", queueLimit, bytesLimit>>20))
		return
	}
	wire.Answer(w, 200, map[string]any{"prompt_id": j.id, "number": j.number, "node_errors": verdict.NodeErrors})
}

// socket greets a client: with the state of the queue and, where its own prompt runs, with the node that is executed.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	s.sockets.Serve(w, r, func(sid string) {
		s.sockets.Send("status", map[string]any{"status": s.queueInfo(), "sid": sid}, sid)
		if client, node := s.current(); client == sid && node != "" {
			s.sockets.Send("executing", map[string]any{"node": node}, sid)
		}
	}, func(sid, kind string) {
		if kind == "feature_flags" {
			s.sockets.Send("feature_flags", s.features(), sid)
		}
	})
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	limit, offset, ok := wire.Page(w, r)
	if !ok {
		return
	}
	wire.Answer(w, 200, s.queue.history("", limit, offset))
}

// interrupt stops the running prompt before its next step; with a prompt_id only if it is that one.
func (s *Server) interrupt(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID string `json:"prompt_id"`
	}
	raw, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	json.Unmarshal(raw, &in) // no body, or none that is JSON, means: whatever runs
	if j := s.queue.runs(); j != nil && (in.ID == "" || in.ID == j.id) {
		s.stop(j)
	}
}

// stop has a prompt that runs end before its next step.
func (s *Server) stop(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = j
}

// free empties the cache of node outputs, as ComfyUI does before its next prompt.
func (s *Server) free(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Unload bool `json:"unload_models"`
		Memory bool `json:"free_memory"`
	}
	if wire.Body(w, r, 1<<20, &in) && in.Memory {
		s.work.forget.Store(true)
	}
}

// deleteFilm removes the images of a film, its uploads, and the prompts that save to its folder from the queue and from
// history. ComfyUI has no such request.
func (s *Server) deleteFilm(w http.ResponseWriter, r *http.Request) {
	film := r.PathValue("film")
	if !limits.FilmID.MatchString(film) {
		serving.WriteProblem(w, serving.Invalid("film", "give the film's id", "%q does not match %s", film, limits.FilmID))
		return
	}
	if j := s.queue.forgetFilm(film); j != nil {
		s.stop(j)
	}
	if err := s.files.forget(film); err != nil {
		serving.WriteProblem(w, err)
	}
}

func (s *Server) queueInfo() any {
	return map[string]any{"exec_info": map[string]any{"queue_remaining": s.queue.length()}}
}

// QueueLength is the number of prompts that wait or run.
func (s *Server) QueueLength() int { return s.queue.length() }

// Measure exports the queue's length.
func (s *Server) Measure(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aifilm_comfyui_preview_queue_length", Help: "Prompts that wait or run.",
	}, func() float64 { return float64(s.QueueLength()) }))
}

func (s *Server) features() any {
	return map[string]any{"supports_preview_metadata": false, "max_upload_size": wire.MaxUpload}
}

func (s *Server) current() (client, node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client, s.node
}

func (s *Server) systemStats(w http.ResponseWriter, _ *http.Request) {
	total, free := memory()
	wire.Answer(w, 200, map[string]any{
		"system": map[string]any{
			"os": runtime.GOOS, "ram_total": total, "ram_free": free, "comfyui_version": Version,
			"python_version": runtime.Version(), "pytorch_version": "none", "embedded_python": false, "argv": os.Args[:1],
		},
		"devices": []any{map[string]any{"name": "preview", "type": "cpu", "index": 0, "vram_total": total, "vram_free": free,
			"torch_vram_total": 0, "torch_vram_free": 0}},
	})
}

// memory reads the machine's memory in bytes; zeros where there is no /proc.
func memory() (total, free int64) {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			free = n << 10
		}
	}
	return total, free
}
