package conformance

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ai-film/ai-film/services/internal/postgrestest"
)

var (
	address    = flag.String("url", "", "base URL of the service to test")
	management = flag.String("management", "", "base URL of its management port")
	token      = flag.String("token", os.Getenv("SERVICE_TOKEN"), "what it knows its callers by")
	sampleFile = flag.String("sample", "", "sample of its requests: a name in samples/, or a file")
	data       = flag.String("data", "", "its DATA_DIR, where this machine has it")
	pid        = flag.Int("pid", 0, "id of its process, which the suite then ends")
)

// TestURL tests the service that the flags tell of.
func TestURL(t *testing.T) {
	if *address == "" {
		t.Skip("no -url is given")
	}
	sample, err := ReadSample(*sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	Run(t, Target{URL: *address, Management: *management, Token: *token, Data: *data, PID: *pid, Sample: sample, Ended: func() (int, error) {
		eventually(t, "its process has ended", func() bool { return syscall.Kill(*pid, 0) != nil })
		return 0, nil // which status it ended with only its parent knows
	}})
}

// python is how a test starts a Python service: as its image holds it, or with the Python that has what it needs. It skips
// the test where there is neither: `make test` brings the images.
func python(t *testing.T, service string, needs string) (command, env []string) {
	t.Helper()
	if roots := os.Getenv("AI_FILM_ROOTS"); roots != "" {
		return []string{filepath.Join(roots, "bin", "enter"), service, "python"}, nil
	}
	services, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	env = []string{"PYTHONPATH=" + services + ":" + filepath.Join(services, service), "PYTHONDONTWRITEBYTECODE=1"}
	for _, candidate := range []string{filepath.Join(os.Getenv("VIRTUAL_ENV"), "bin", "python"), "python3"} {
		c := exec.Command(candidate, "-c", "import "+needs)
		c.Env = append(os.Environ(), env...)
		if c.Run() == nil {
			return []string{candidate}, env
		}
	}
	t.Skipf("no Python here has %s: run make test, or set VIRTUAL_ENV", needs)
	return nil, nil
}

func TestOpenCV(t *testing.T) {
	command, env := python(t, "opencv", "cv2, waitress, aifilm.server")
	RunProcess(t, "opencv.json", env, append(command, "-m", "aifilm.server", "finishing.app:app")...)
}

// What takes long in LangGraph is a model: this one thinks for two seconds of a long night, and then says that it can't.
func TestLangGraph(t *testing.T) {
	command, env := python(t, "langgraph", "langgraph, psycopg, waitress, aifilm.server")
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if bytes.Contains(asked, []byte("A long night.")) {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
		}
		http.Error(w, `{"error": {"message": "not this one"}}`, http.StatusBadRequest)
	}))
	defer model.Close()
	env = append(env, "DATABASE_URL="+postgrestest.Start(t), "OPENAI_BASE_URL="+model.URL+"/v1", "OPENAI_API_KEY=none", "OPENAI_MODEL=slow")
	RunProcess(t, "langgraph.json", env, append(command, "-m", "aifilm.server", "planning.app:app")...)
}
