package bridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/preview"
	"github.com/ai-film/ai-film/services/internal/apiservertest"
	"github.com/ai-film/ai-film/services/internal/freeport"
	"github.com/ai-film/ai-film/services/internal/outbound"
)

const secret, token = "a secret of the tests of the bridge", "a-token-of-the-tests"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited three minutes in vain for: %s", what)
		}
	}
}

func claims(act, name, url string) Claims {
	return Claims{Act: act, Name: name, URL: url, Issued: float64(time.Now().UnixMicro()) / 1e6, ID: uuid.NewString()}
}

// The text of a registration is a contract with the command line and the notebook: all three make this one.
func TestTheSameTextEverywhere(t *testing.T) {
	text, err := os.ReadFile("testdata/registration.json")
	must(t, err)
	var v struct {
		Secret string `json:"secret"`
		Claims Claims `json:"claims"`
		Token  string `json:"token"`
	}
	must(t, json.Unmarshal(text, &v))
	got, err := Verify([]byte(v.Secret), v.Token, time.UnixMicro(int64(v.Claims.Issued*1e6)))
	if err != nil || got != v.Claims {
		t.Errorf("%+v %v; ours would be %s", got, err, Sign([]byte(v.Secret), v.Claims))
	}
}

func TestWhatIsNoRegistration(t *testing.T) {
	now := time.Now()
	good := Sign([]byte(secret), claims("register", "colab", "https://a.example"))
	if _, err := Verify([]byte(secret), good+"\n", now); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	payload := func(text string) string {
		head := b64([]byte(header)) + "." + b64([]byte(text))
		return head + "." + b64(sum([]byte(secret), head))
	}
	none := b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	crit := b64([]byte(`{"alg":"HS256","crit":["exp"]}`)) + "." + parts[1]
	for name, text := range map[string]string{
		"empty": "", "another secret": Sign([]byte("another secret, as long as that"), claims("register", "colab", "https://a.example")),
		"no algorithm": none, "critical extension": crit + "." + b64(sum([]byte(secret), crit)), "other payload": parts[0] + "." + b64([]byte(`{"act":"release"}`)) + "." + parts[2],
		"cut": good[:len(good)-2], "four parts": good + ".x", "padded": good + "=", "long": strings.Repeat("a", 1<<20), "no JSON": payload("x"), "no id": payload(fmt.Sprintf(`{"act":"status","iat":%d}`, now.Unix())),
		"no time": payload(`{"act":"status","jti":"0123456789abcdef"}`), "time as text": payload(`{"act":"status","jti":"0123456789abcdef","iat":"now"}`), "endless time": payload(`{"act":"status","jti":"0123456789abcdef","iat":1e999}`),
		"old":   payload(fmt.Sprintf(`{"act":"status","jti":"0123456789abcdef","iat":%d}`, now.Add(-MaxAge-time.Minute).Unix())),
		"ahead": payload(fmt.Sprintf(`{"act":"status","jti":"0123456789abcdef","iat":%d}`, now.Add(MaxAge+time.Minute).Unix())),
	} {
		if c, err := Verify([]byte(secret), text, now); err == nil {
			t.Errorf("%s: taken for %+v", name, c)
		}
	}
}

// studio is an API server with a bridge that has no more rights than the chart gives it, and a relay that follows it.
type studio struct {
	*Bridge
	maps   corev1.ConfigMapInterface
	client kubernetes.Interface
	server *httptest.Server
}

func newStudio(t *testing.T, change ...func(*Options)) *studio {
	t.Helper()
	api := apiservertest.Start(t)
	admin, err := kubernetes.NewForConfig(api.Config(apiservertest.Admin))
	must(t, err)
	_, err = admin.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "studio"}}, meta.CreateOptions{})
	must(t, err)
	maps := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"comfyui-endpoint"}}
	relays, bridges := maps, maps
	relays.Verbs, bridges.Verbs = []string{"list", "watch"}, []string{"create", "get", "patch", "update"}
	_, err = admin.RbacV1().Roles("studio").Create(t.Context(), &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "pod"}, Rules: []rbac.PolicyRule{relays, bridges,
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create"}}}}, meta.CreateOptions{})
	must(t, err)
	_, err = admin.RbacV1().RoleBindings("studio").Create(t.Context(), &rbac.RoleBinding{ObjectMeta: meta.ObjectMeta{Name: "pod"},
		RoleRef:  rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "pod"},
		Subjects: []rbac.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "pod"}}}, meta.CreateOptions{})
	must(t, err)
	program := filepath.Join(t.TempDir(), "comfyui-relay")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/comfyui-relay").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, management := freeport.Loopback(t), freeport.Loopback(t)
	relay := exec.Command(program)
	relay.Env = []string{"PORT=" + port, "MANAGEMENT_PORT=" + management, "SERVICE_TOKEN=" + token, "TMPDIR=" + t.TempDir(), "POLL=200ms", "LOST_AFTER=3s",
		"KUBECONFIG=" + api.Kubeconfig(t, apiservertest.Pod), "POD_NAMESPACE=studio", "ENDPOINTS=comfyui-endpoint", "ALLOW_CIDRS=127.0.0.0/8"}
	relay.Stderr = os.Stderr
	must(t, relay.Start())
	t.Cleanup(func() { relay.Process.Kill(); relay.Wait() })
	pod, err := corev1.NewForConfig(api.Config(apiservertest.Pod))
	must(t, err)
	guard, err := outbound.NewGuard("127.0.0.0/8")
	must(t, err)
	o := Options{Secret: []byte(secret), Place: &endpoint.Place{Client: pod, Namespace: "studio", Name: "comfyui-endpoint"}, Guard: guard, PlainHTTP: true,
		Relay: "http://127.0.0.1:" + port, Token: token, Checkpoint: "sd_xl_base_1.0.safetensors", RequireGPU: true, Trial: 10 * time.Second, Registry: prometheus.NewRegistry()}
	for _, c := range change {
		c(&o)
	}
	s := &studio{Bridge: New(o), maps: admin.CoreV1().ConfigMaps("studio"), client: admin}
	s.server = httptest.NewServer(s.Handler())
	t.Cleanup(s.server.Close)
	return s
}

// outcome is what a registrant learns.
type outcome struct {
	Status  int // of HTTP
	State   string
	Result  Result
	Problem struct {
		Title, Detail, Remedy string
		Status                int
	}
	steps int
}

func (s *studio) send(t *testing.T, text string) (o outcome) {
	t.Helper()
	answer, err := http.Post(s.server.URL+"/v1/registrations", "application/jwt", strings.NewReader(text))
	must(t, err)
	defer answer.Body.Close()
	o.Status = answer.StatusCode
	raw, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != 200 {
		must(t, json.Unmarshal(raw, &o.Problem))
		return o
	}
	for line := range bytes.Lines(raw) {
		must(t, json.Unmarshal(line, &o))
		o.steps++
	}
	return o
}

func (s *studio) sent(t *testing.T, c Claims) outcome {
	t.Helper()
	return s.send(t, Sign([]byte(secret), c))
}

func (s *studio) data(t *testing.T) map[string]string {
	t.Helper()
	m, err := s.maps.Get(t.Context(), "comfyui-endpoint", meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	must(t, err)
	return m.Data
}

// colab is a preview that says it has a GPU, and can be made to answer otherwise.
type colab struct {
	*httptest.Server
	instead atomic.Value // a func(http.ResponseWriter, *http.Request) bool
	trials  atomic.Int64
}

const gpu = `{"system":{"comfyui_version":"0.3.75","pytorch_version":"2.6.0+cu124","argv":["main.py"]},"devices":[{"name":"cuda:0 Tesla T4","type":"cuda","vram_total":15828320256}]}`

func newColab(t *testing.T) *colab {
	t.Helper()
	p, err := preview.New(preview.Options{Dir: t.TempDir(), Checkpoints: []string{"sd_xl_base_1.0.safetensors"}})
	must(t, err)
	mux := http.NewServeMux()
	p.Routes(mux.Handle, func(h http.Handler) http.Handler { return h })
	ctx, cancel := context.WithCancel(context.Background())
	go p.Run(ctx)
	c := &colab{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if instead, is := c.instead.Load().(func(http.ResponseWriter, *http.Request) bool); is && instead(w, q) {
			return
		}
		switch {
		case q.URL.Path == "/system_stats":
			io.WriteString(w, gpu)
			return
		case q.Method == "POST" && q.URL.Path == "/prompt":
			c.trials.Add(1)
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(func() { c.CloseClientConnections(); c.Close(); cancel() })
	return c
}

func (c *colab) on(path string, answer func(http.ResponseWriter, *http.Request)) {
	c.instead.Store(func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasPrefix(q.URL.Path, path) {
			answer(w, q)
			return true
		}
		return false
	})
}

func TestRegistrations(t *testing.T) {
	s := newStudio(t)
	one, two := newColab(t), newColab(t)
	first := claims("register", "colab", one.URL)
	text := Sign([]byte(secret), first)
	o := s.send(t, text)
	if o.State != "done" || o.Result.Measured.GPU != "cuda:0 Tesla T4" || o.Result.Measured.VRAM < 14 || o.Result.Measured.Version != "0.3.75" || o.Result.Measured.Next <= 0 ||
		!used(*o.Result.Relay, one.URL) || o.steps < 5 {
		t.Fatalf("%+v", o)
	}
	if o := s.send(t, text); o.Status != http.StatusConflict {
		t.Errorf("a replay: %+v", o)
	}
	drawn := one.trials.Load()
	if o := s.sent(t, claims("register", "colab", one.URL)); !o.Result.Unchanged || one.trials.Load() != drawn {
		t.Errorf("the same again: %+v", o)
	}
	// another notebook takes the name; what the first one says late changes nothing
	late := claims("release", "colab", one.URL)
	if o := s.sent(t, claims("register", "colab", two.URL)); o.State != "done" || o.Result.Unchanged {
		t.Fatalf("%+v", o)
	}
	if o := s.sent(t, late); o.Status != 200 || o.Problem.Status != http.StatusConflict {
		t.Errorf("what was signed before: %+v", o)
	}
	if o := s.sent(t, claims("release", "colab", one.URL)); o.State != "done" || !o.Result.Unchanged || !strings.Contains(s.data(t)["colab"], two.URL) {
		t.Errorf("the one before released the one after: %+v", o)
	}
	// a bridge that was restarted remembers what was signed
	options := s.Options
	options.Registry = nil
	if _, err := New(options).carryOut(t.Context(), first, func(string) {}); err == nil || !strings.Contains(err.Error(), "replayed") {
		t.Errorf("after a restart: %v", err)
	}
	if o := s.sent(t, claims("release", "colab", "")); o.State != "done" || o.Result.Unchanged || len(s.data(t)) != 0 {
		t.Errorf("%+v", o)
	}
	if o := s.sent(t, claims("release", "colab", "")); o.State != "done" || !o.Result.Unchanged {
		t.Errorf("released twice: %+v", o)
	}
	o = s.sent(t, claims("status", "", ""))
	if o.State != "done" || o.Result.Relay.State != "waiting" || len(o.Result.History) != 5 || o.Result.History[0].GPU != "cuda:0 Tesla T4" {
		t.Errorf("%+v", o.Result)
	}
	events, err := s.client.CoreV1().Events("studio").List(t.Context(), meta.ListOptions{})
	must(t, err)
	reasons := map[string]int{}
	for _, e := range events.Items {
		reasons[e.Reason]++
	}
	if reasons["Registered"] != 2 || reasons["Released"] != 1 || reasons["Refused"] == 0 {
		t.Errorf("%v", reasons)
	}
	// no more than that one ConfigMap
	other := *s.Place
	other.Name = "another"
	if err := other.Change(t.Context(), endpoint.Entry{}, func(map[string]string, []endpoint.Entry) error { return nil }); !apierrors.IsForbidden(err) {
		t.Errorf("another ConfigMap: %v", err)
	}
	if _, err := other.Client.Secrets("studio").List(t.Context(), meta.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets: %v", err)
	}
}

// The notebook's own code registers here, and learns what was measured.
func TestTheNotebookRegisters(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to run the notebook's code")
	}
	s := newStudio(t)
	c := newColab(t)
	tell := func(act string) string {
		t.Helper()
		cmd := exec.Command(python, "-c", `import json, sys
from ai_film_comfyui import registration
claims = {"act": sys.argv[2], "name": "colab", "url": sys.argv[3], "weight": 1.0}
print(json.dumps(registration.post(sys.argv[1], sys.stdin.read(), claims, lambda step: print(step, file=sys.stderr))))`, s.server.URL, act, c.URL)
		cmd.Dir, cmd.Stdin = "../../../colab", strings.NewReader(secret)
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
		}
		return string(out)
	}
	if out := tell("register"); !strings.Contains(out, "cuda:0 Tesla T4") || !strings.Contains(s.data(t)["colab"], c.URL) {
		t.Errorf("%s %v", out, s.data(t))
	}
	if out := tell("register"); !strings.Contains(out, `"unchanged": true`) {
		t.Errorf("a heartbeat: %s", out)
	}
	if tell("release"); len(s.data(t)) != 0 {
		t.Error(s.data(t))
	}
}

func TestRefused(t *testing.T) {
	s := newStudio(t)
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { t.Error("somebody came inside: ", q.URL) }))
	t.Cleanup(inside.Close)
	c := newColab(t)
	picture := func(width, height int) func(w http.ResponseWriter, q *http.Request) {
		return func(w http.ResponseWriter, q *http.Request) {
			png.Encode(w, image.NewGray(image.Rect(0, 0, width, height)))
		}
	}
	stats := func(text string) func(w http.ResponseWriter, q *http.Request) {
		return func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, text) }
	}
	for name, answer := range map[string]struct {
		path  string
		serve func(http.ResponseWriter, *http.Request)
		says  string
	}{
		"no ComfyUI":             {"/", stats("<html>hello</html>"), "no ComfyUI"},
		"an empty object":        {"/system_stats", stats("{}"), "no ComfyUI"},
		"404":                    {"/system_stats", http.NotFound, "status 404"},
		"a redirect inside":      {"/", func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, inside.URL, http.StatusFound) }, "redirects are not followed"},
		"no GPU":                 {"/system_stats", stats(`{"system":{"comfyui_version":"1"},"devices":[{"name":"cpu","type":"cpu","vram_total":9e9}]}`), "no GPU"},
		"a GPU without PyTorch":  {"/system_stats", stats(strings.Replace(gpu, "+cu124", "+cpu", 1)), "runs without one"},
		"a GPU and --cpu":        {"/system_stats", stats(strings.Replace(gpu, `"main.py"`, `"main.py","--cpu"`, 1)), "runs without one"},
		"a GPU without memory":   {"/system_stats", stats(strings.Replace(gpu, "15828320256", "0", 1)), "0.0 GiB"},
		"a lack of nodes":        {"/object_info/KSampler", stats("{}"), "the nodes KSampler"},
		"a lack of the model":    {"/object_info/CheckpointLoaderSimple", stats(`{"CheckpointLoaderSimple":{"input":{"required":{"ckpt_name":[["other.safetensors"]]}}}}`), "the checkpoint sd_xl_base_1.0.safetensors (it has other.safetensors)"},
		"a prompt refused":       {"/prompt", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 400) }, "does not draw"},
		"a picture of its own":   {"/view", picture(512, 512), "were asked for"},
		"a bomb":                 {"/view", func(w http.ResponseWriter, _ *http.Request) { w.Write(vast()) }, "50000 × 50000"},
		"an endless picture":     {"/view", endless, "more than 16 MiB"},
		"an endless answer":      {"/system_stats", endless, "more than 4 MiB"},
		"an answer by drops":     {"/system_stats", drops, "deadline exceeded"},
		"the pace of a CPU":      {"/nothing", http.NotFound, "the pace of a CPU"},
		"a picture never drawn":  {"/history", stats("{}"), "not there in time"},
		"the history of another": {"/history", stats(`{"x":{"status":{"status_str":"success"}}}`), "not there in time"},
	} {
		t.Run(name, func(t *testing.T) {
			c.on(answer.path, answer.serve)
			usual := *s.check
			defer func() { *s.check = usual }()
			switch name {
			case "a picture never drawn", "the history of another":
				s.check.patience = time.Second
			case "an answer by drops":
				s.check.wait = time.Second
			case "the pace of a CPU": // whatever it says
				s.check.pace = time.Microsecond
			}
			o := s.sent(t, claims("register", "colab", c.URL))
			if o.State != "failed" || !strings.Contains(o.Problem.Title+": "+o.Problem.Detail, answer.says) || o.Problem.Remedy == "" {
				t.Errorf("%+v", o)
			}
		})
	}
	s.check.client = New(Options{Place: s.Place}).check.client // nothing inside is allowed any more
	urls := []string{"http://169.254.169.254", "http://metadata.google.internal", "http://10.96.0.1", "https://kubernetes.default.svc", "http://[fe80::1%25lo]"}
	for _, host := range []string{"127.0.0.1", "localhost", "localhost.", "LOCALHOST", "0.0.0.0", "127.1", "0x7f000001", "127.0.0.1.", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127。0。0。1", "ｌｏｃａｌｈｏｓｔ"} {
		urls = append(urls, strings.Replace(inside.URL, "127.0.0.1", host, 1))
	}
	for _, url := range urls {
		o := s.sent(t, claims("register", "colab", url))
		if o.State != "failed" || !strings.Contains(o.Problem.Detail, "not a public one") && !strings.Contains(o.Problem.Detail, "lookup") {
			t.Errorf("%s: %+v", url, o)
		}
	}
	for text, want := range map[string]int{
		"": 401, "x.y.z": 401, strings.Repeat("a", 1<<20): 413,
		Sign([]byte("another secret than that one"), claims("register", "colab", c.URL)):                          401,
		Sign([]byte(secret), Claims{Act: "register", Name: "colab", URL: c.URL, ID: uuid.NewString(), Issued: 1}): 403,
		Sign([]byte(secret), claims("register", "Colab!", c.URL)):                                                 422,
		Sign([]byte(secret), claims("register", "colab", "file:///etc/passwd")):                                   422,
		Sign([]byte(secret), claims("register", "colab", "https://me:confidential@a.example")):                    422,
		Sign([]byte(secret), claims("register", "colab", "https://me@a.example")):                                 422,
		Sign([]byte(secret), claims("register", "colab", "https://a.example:99999999/?token=confidential")):       422,
		Sign([]byte(secret), claims("register", "colab", "https://")):                                             422,
		Sign([]byte(secret), claims("register", "colab", "//a.example")):                                          422,
		Sign([]byte(secret), claims("register", "colab", "gopher://a.example")):                                   422,
		Sign([]byte(secret), claims("drop", "colab", c.URL)):                                                      422,
	} {
		if o := s.send(t, text); o.Status != want || strings.Contains(o.Problem.Detail, "confidential") {
			t.Errorf("%.40q: %+v, want %d", text, o, want)
		}
	}
	if data := s.data(t); data != nil {
		t.Errorf("something was changed: %v", data)
	}
}

func endless(w http.ResponseWriter, q *http.Request) {
	for q.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
			return
		}
	}
}

// drops is an answer that is always about to go on.
func drops(w http.ResponseWriter, q *http.Request) {
	for q.Context().Err() == nil {
		io.WriteString(w, " ")
		http.NewResponseController(w).Flush()
		time.Sleep(50 * time.Millisecond)
	}
}

// vast is a PNG of a few bytes that says it has 50000 × 50000 pixels.
func vast() []byte {
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)))
	text := b.Bytes()
	copy(text[16:24], []byte{0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50})
	crc := crc32.ChecksumIEEE(text[12:29])
	copy(text[29:33], []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})
	return text
}

// A laptop that nobody can call looks for registrations where a notebook can leave them.
func TestRendezvous(t *testing.T) {
	var lies atomic.Value
	lies.Store("")
	gist := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, lies.Load().(string)) }))
	t.Cleanup(gist.Close)
	s := newStudio(t, func(o *Options) { o.Rendezvous, o.Every = gist.URL, 100*time.Millisecond })
	go s.Run(t.Context())
	c := newColab(t)
	stranger := Sign([]byte("another secret than that one"), claims("register", "stranger", c.URL))
	lies.Store("# by hand\n" + stranger + "\n" + Sign([]byte(secret), claims("register", "laptop", c.URL)) + "\n")
	until(t, "it is registered", func() bool { return strings.Contains(s.data(t)["laptop"], c.URL) })
	lies.Store(Sign([]byte(secret), claims("release", "laptop", c.URL)))
	until(t, "it is released", func() bool { d := s.data(t); return d == nil || d["laptop"] == "" })
	if len(s.data(t)) != 0 {
		t.Error(s.data(t))
	}
}
