package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ai-film/ai-film/services/comfyui/graph"
	"github.com/ai-film/ai-film/services/internal/freeport"
)

// TestSpeed measures the relay beside a direct connection and nginx as the proxy, all of them on this machine at the same time, and
// writes what it found to RELAY_BENCH (out/bench/relay.json). It measures nothing where that is not set: a machine that tests other things
// meanwhile gives no figures.
func TestSpeed(t *testing.T) {
	out := os.Getenv("RELAY_BENCH")
	if out == "" {
		t.Skip("RELAY_BENCH names no file to write what was measured to")
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("there is no nginx to compare with: apt-get install nginx-light")
	}
	server := newProcess(t, "comfyui-preview")
	r := newProcess(t, "comfyui-relay", "BACKENDS=dns+"+server.Base)
	until(t, "the relay has its server", func() bool {
		status, _, err := r.Do(t.Context(), "GET", "/system_stats", nil)
		return err == nil && status == 200
	})
	proxy := startNginx(t, nginx, server.Base)
	image := wait(t, r.Client, submit(t, r.Client, take(t, 1, func(p *graph.Params) { p.Width, p.Height = 1024, 576 }), "")).Outputs[graph.SaveNode].Images[0]
	view := "/view?type=output&filename=" + image.Filename + "&subfolder=" + image.Subfolder

	var throughput, added []float64
	for range 9 { // side by side, so that what the machine does else hits all
		_, beside := ask(t, proxy+view, 400, 8)
		_, ours := ask(t, r.Base+view, 400, 8)
		direct, _ := ask(t, server.Base+"/system_stats", 1000, 1)
		through, _ := ask(t, r.Base+"/system_stats", 1000, 1)
		throughput, added = append(throughput, ours/beside), append(added, through-direct)
	}
	slices.Sort(throughput)
	slices.Sort(added)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 500 {
		c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.Base, "http")+"/ws?clientId="+strconv.Itoa(i), &websocket.DialOptions{HTTPHeader: r.Header})
		must(t, err)
		defer c.CloseNow()
		go func() {
			for {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
			}
		}()
	}
	// A gibibyte of uploads, each about the largest that ComfyUI takes, and one that is larger than that.
	for i := range 11 {
		if status := uploaded(t, r, 99<<20); status != 200 {
			t.Errorf("upload %d: %d", i, status)
		}
	}
	if status := uploaded(t, r, 1<<30); status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 GiB at once: %d", status)
	}
	found := map[string]float64{"throughput_vs_nginx": throughput[4], "added_ms_median": added[4], "rss_mb_max": peak(t, r)}
	text, err := json.MarshalIndent(found, "", "  ")
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(out), 0o755))
	must(t, os.WriteFile(out, append(text, '\n'), 0o644))
	t.Logf("%s", text)
	if found["throughput_vs_nginx"] < 0.9 || found["added_ms_median"] > 1 || found["rss_mb_max"] > 200 {
		t.Errorf("slower, or larger, than promised (0.9, 1 ms, 200 MB): %s", text)
	}
}

// ask gets a URL n times, c at a time, and returns the median in milliseconds and the answers a second.
func ask(t *testing.T, url string, n, c int) (median, rate float64) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all []float64
	var askers sync.WaitGroup
	began := time.Now()
	for range c {
		askers.Go(func() {
			for range n / c {
				q, _ := http.NewRequest("GET", url, nil)
				q.Header.Set("Authorization", "Bearer "+token)
				at := time.Now()
				answer, err := client.Do(q)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != 200 {
					t.Errorf("%s: %s", url, answer.Status)
					return
				}
				mu.Lock()
				all = append(all, time.Since(at).Seconds()*1000)
				mu.Unlock()
			}
		})
	}
	askers.Wait()
	if len(all) == 0 {
		t.FailNow()
	}
	rate = float64(len(all)) / time.Since(began).Seconds()
	slices.Sort(all)
	return all[len(all)/2], rate
}

// uploaded streams an upload of so many bytes.
func uploaded(t *testing.T, p *process, size int64) int {
	body, in := io.Pipe()
	form := multipart.NewWriter(in)
	go func() {
		err := form.WriteField("overwrite", "true")
		var part io.Writer
		if err == nil {
			part, err = form.CreateFormFile("image", "large.png")
		}
		if err == nil {
			_, err = io.CopyN(part, zeros{}, size)
		}
		if err == nil {
			err = form.Close()
		}
		in.CloseWithError(err)
	}()
	q, err := http.NewRequest("POST", p.Base+"/upload/image", body)
	if err != nil {
		t.Error(err)
		return 0
	}
	q.Header = p.Header.Clone()
	q.Header.Set("Content-Type", form.FormDataContentType())
	answer, err := http.DefaultClient.Do(q)
	if err != nil { // it was refused before it was sent
		return http.StatusRequestEntityTooLarge
	}
	answer.Body.Close()
	return answer.StatusCode
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// peak is the most memory that a process had, in MB.
func peak(t *testing.T, p *process) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	must(t, err)
	return kb * 1024 / 1e6
}

// startNginx has nginx pass on to a server what it is asked, as an ingress would.
func startNginx(t *testing.T, program, to string) string {
	t.Helper()
	dir, port := t.TempDir(), freeport.Loopback(t)
	paths := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += fmt.Sprintf("%s_temp_path %s/%[1]s; ", name, dir)
	}
	config := fmt.Sprintf(`worker_processes auto; pid %s/pid; error_log stderr; daemon off;
events { worker_connections 1024; }
http { access_log off; %s
upstream comfyui { server %s; keepalive 64; }
server { listen 127.0.0.1:%s; location / { proxy_pass http://comfyui; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } } }
`, dir, paths, strings.TrimPrefix(to, "http://"), port)
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	cmd := exec.Command(program, "-c", file)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	base := "http://127.0.0.1:" + port
	until(t, "nginx answers", func() bool {
		answer, err := http.Get(base + "/healthz")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	})
	return base
}
