package relay_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/ai-film/ai-film/services/comfyui/conformance"
	"github.com/ai-film/ai-film/services/comfyui/graph"
)

// limit is a container's memory limit in MiB, by the chart's values: the first "memory" below the keys.
func limit(t *testing.T, file string, keys ...string) int {
	t.Helper()
	text, err := os.ReadFile("../../../charts/ai-film/" + file)
	must(t, err)
	rest := string(text)
	for _, key := range append(keys, "limits") {
		at := regexp.MustCompile(`(?m)^ *` + key + `:`).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("%s has no %v", file, keys)
		}
		rest = rest[at[1]:]
	}
	m := regexp.MustCompile(`memory: (\d+)Mi`).FindStringSubmatch(rest)
	if m == nil {
		t.Fatalf("%s: no limit in Mi below %v", file, keys)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// peak is the most memory the process ever had, MiB.
func (p *process) peak() int {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	must(p.t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	n, _ := strconv.Atoi(string(m[1]))
	return n >> 10
}

// within fails if the process ever had more than its container may, and says what it was doing.
func (p *process) within(t *testing.T, limit int, doing string) {
	t.Helper()
	peak := p.peak()
	t.Logf("%4d MiB of %d after %s", peak, limit, doing)
	if peak > limit {
		t.Errorf("%d MiB while %s", peak, doing)
	}
}

// bomb is a PNG of that size, all zero: some kilobytes that unpack to gigabytes.
func bomb(width, height uint32, depth, colour byte, bits uint64) []byte {
	var out bytes.Buffer
	out.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		binary.Write(&out, binary.BigEndian, uint32(len(data)))
		out.WriteString(kind)
		out.Write(data)
		binary.Write(&out, binary.BigEndian, crc32.ChecksumIEEE(append([]byte(kind), data...)))
	}
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	chunk("IHDR", append(header, depth, colour, 0, 0, 0))
	if colour == 3 {
		chunk("PLTE", make([]byte, 6))
	}
	var data bytes.Buffer
	z, _ := zlib.NewWriterLevel(&data, zlib.BestSpeed)
	row := make([]byte, 1+(uint64(width)*bits+7)/8)
	for range height {
		z.Write(row)
	}
	z.Close()
	chunk("IDAT", data.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

// listeners opens WebSockets that never read.
func listeners(t *testing.T, p *process, n int) {
	var from []*http.Client // several hosts: one may not take all places
	for host := range byte(4) {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2+host)}}
		from = append(from, &http.Client{Transport: &http.Transport{DialContext: d.DialContext}})
	}
	for i := range n {
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.Base, "http")+fmt.Sprintf("/ws?clientId=deaf-%d", i),
			&websocket.DialOptions{HTTPHeader: p.Header, HTTPClient: from[i%len(from)]})
		if err != nil {
			t.Errorf("listener %d: %v", i, err)
			return
		}
		t.Cleanup(func() { c.CloseNow() })
	}
}

func many(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// hostile are bodies of POST /prompt that a small server could choke on; what is answered to them is the server's affair,
// that it lives isn't.
func hostile(t *testing.T) map[string]string {
	node := func(class, inputs string) string {
		return fmt.Sprintf(`{"class_type":%q,"inputs":{%s}}`, class, inputs)
	}
	chain := func(n int, last string) string {
		var b strings.Builder
		b.WriteString(`{"prompt":{"0":` + node("EmptyLatentImage", `"width":64,"height":64,"batch_size":1`) + `,"1":` + node("CheckpointLoaderSimple", `"ckpt_name":"sd_xl_base_1.0.safetensors"`) +
			`,"2":` + node("VAEDecode", `"samples":["0",0],"vae":["1",2]`))
		for i := 3; i < n; i++ {
			fmt.Fprintf(&b, `,"%d":%s`, i, node("ImageScale", fmt.Sprintf(`"image":["%d",0],"upscale_method":"area","width":%s,"crop":"disabled"`, i-1, last)))
		}
		return b.String() + fmt.Sprintf(`,"s":%s}}`, node("PreviewImage", fmt.Sprintf(`"images":["%d",0]`, n-1)))
	}
	wrong := func(n int, class, inputs string, outputs int) string {
		var b strings.Builder
		b.WriteString(`{"prompt":{"x":` + node(class, inputs))
		for i := range n {
			fmt.Fprintf(&b, `,"%d":%s`, i, node("ImageScale", fmt.Sprintf(`"image":["%v",0],"upscale_method":"none"`, map[bool]any{true: "x", false: i - 1}[i == 0])))
		}
		for i := range outputs {
			fmt.Fprintf(&b, `,"o%d":%s`, i, node("SaveImage", fmt.Sprintf(`"images":["%d",0]`, n-1)))
		}
		return b.String() + "}}"
	}
	var cycle strings.Builder
	cycle.WriteString(`{"prompt":{"s":` + node("PreviewImage", `"images":["0",0]`))
	const around = 24000
	for i := range around {
		fmt.Fprintf(&cycle, `,"%d":%s`, i, node("ImageScale", fmt.Sprintf(`"image":["%d",0],"upscale_method":"area","width":8,"height":8,"crop":"disabled"`, (i+1)%around)))
	}
	cycle.WriteString("}}")
	big := func(width, height, batch int) string {
		return fmt.Sprintf(`{"prompt":{"0":%s,"1":%s,"2":%s,"3":%s}}`, node("EmptyLatentImage", fmt.Sprintf(`"width":%d,"height":%d,"batch_size":%d`, width, height, batch)),
			node("CheckpointLoaderSimple", `"ckpt_name":"sd_xl_base_1.0.safetensors"`), node("VAEDecode", `"samples":["0",0],"vae":["1",2]`), node("PreviewImage", `"images":["2",0]`))
	}
	fill := func(open, element, end string) string {
		return open + strings.Repeat(element+",", (8<<20-len(open)-len(element)-len(end)-10)/(len(element)+1)) + element + end
	}
	return map[string]string{
		"a latent of 16384² × 4096":      big(16384, 16384, 4096),
		"a latent of as much as is held": big(2048, 2048, 1),
		"a batch of as much as is held":  big(64, 64, 1024),
		"24000 nodes in a row":           chain(24000, `8,"height":8`),
		"12 large pictures":              chain(15, `2048,"height":2040`),
		"12 large pictures, all wanted": strings.Replace(chain(15, `2048,"height":2040`), `"s":`, func() (s string) {
			for i := 3; i < 15; i++ {
				s += fmt.Sprintf(`"p%d":%s,`, i, node("PreviewImage", fmt.Sprintf(`"images":["%d",0]`, i)))
			}
			return s + `"s":`
		}(), 1),
		"a cycle of 24000 nodes":           cycle.String(),
		"12000 wrong nodes, 12000 outputs": wrong(12000, "KSampler", "", 12000),
		"more nodes than are taken":        fill(`{"prompt":{"x":{}`, `"y":{"class_type":"SaveImage"}`, "}}"),
		"empty lists":                      fill(`{"prompt":{"1":{"class_type":"SaveImage","inputs":{"images":[[]`, "[]", "]}}}}"),
		"empty objects in extra_data":      fill(`{"prompt":{},"extra_data":{"a":[{}`, "{}", "]}}"),
		"keys of extra_data":               fill(`{"prompt":{},"extra_data":{"a":0`, `"b":0`, "}}"),
		"a prompt_id of lists":             fill(`{"prompt":{},"prompt_id":[[]`, "[]", "]}"),
		"many partial targets":             fill(`{"prompt":{},"partial_execution_targets":[""`, `""`, "]}"),
		"deep nesting":                     `{"prompt":` + strings.Repeat("[", 4<<20) + strings.Repeat("]", 4<<20-100) + "}",
		"one long word":                    `{"prompt":{"1":{"class_type":"` + strings.Repeat("x", 8<<20-100) + `"}}}`,
	}
}

func (p *process) raw(t *testing.T, method, path, body string) (int, string) {
	r, err := http.NewRequestWithContext(t.Context(), method, p.Base+path, strings.NewReader(body))
	must(t, err)
	r.Header = p.Header.Clone()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, string(text)
}

func (p *process) idle(t *testing.T) {
	t.Helper()
	left, at := -1, time.Now()
	for {
		n := queueLengthOf(t, p)
		if n == 0 {
			return
		}
		if n != left {
			left, at = n, time.Now()
		}
		if time.Since(at) > 5*time.Minute {
			t.Fatalf("%d prompts are left and nothing moves", n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// works makes a picture the usual way.
func (p *process) works(t *testing.T, seed uint64) {
	t.Helper()
	r := wait(t, p.Client, submit(t, p.Client, take(t, seed), ""))
	view(t, p.Client, r)
}

// TestPreviewMemory: whatever preview is sent, it stays within its container and goes on working.
func TestPreviewMemory(t *testing.T) {
	most := limit(t, "values/dev.yaml", "comfyui", "resources")
	p := newProcess(t, "comfyui-preview")
	p.works(t, 1)
	p.within(t, most, "starting")

	bombs := map[string][]byte{
		"grey 20000².png":           bomb(20000, 20000, 8, 0, 8),
		"rgba 16 bit 5000².png":     bomb(5000, 5000, 16, 6, 64),
		"palette 30000².png":        bomb(30000, 30000, 1, 3, 1),
		"almost too large.png":      bomb(2048, 2048, 16, 6, 64),
		"claims 2³¹.png":            bomb(1<<31-1, 1, 8, 0, 0),
		"claims 65535².jpg":         append([]byte("\xff\xd8\xff\xc2\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"), make([]byte, 1000)...),
		"claims 65535².gif":         append([]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02"), make([]byte, 1000)...),
		"claims 16384².webp":        []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\xff\xff\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00"),
		"no picture at all.png":     []byte("nothing"),
		"one chunk of 2³²−1 .png":   append([]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR"), make([]byte, 100)...),
		"<script>alert(1)</script>": []byte("<html><script>alert(1)</script>"),
	}
	for name, data := range bombs {
		status, text, err := p.Upload(t.Context(), name, data, nil)
		must(t, err)
		if name[0] == '<' { // its last part is the name
			name = "script>"
		}
		if status != 200 {
			t.Errorf("upload of %s: %d %s", name, status, text)
		}
	}
	for name := range bombs {
		name = name[strings.LastIndex(name, "/")+1:]
		for _, how := range []string{"channel=a", "channel=rgb", "preview=jpeg;90", "preview=webp"} {
			many(4, func(int) {
				status, _, err := p.Do(t.Context(), "GET", "/view?type=input&filename="+strings.ReplaceAll(urlQuery(name), "+", "%20")+"&"+how, nil)
				if err != nil || status != 413 && status != 404 && (status != 200 || name != "almost too large.png") {
					t.Errorf("%s with %s: %d %v", name, how, status, err)
				}
			})
		}
		g, _ := json.Marshal(map[string]any{"prompt": map[string]any{"1": map[string]any{"class_type": "LoadImage", "inputs": map[string]any{"image": name}},
			"2": map[string]any{"class_type": "PreviewImage", "inputs": map[string]any{"images": []any{"1", 0}}}}})
		if status, text := p.raw(t, "POST", "/prompt", string(g)); status != 200 {
			t.Errorf("LoadImage of %s: %d %s", name, status, text)
		}
	}
	p.idle(t)
	p.within(t, most, "looking at pictures that unpack to gigabytes")

	many(4, func(i int) {
		status, text, err := p.Upload(t.Context(), fmt.Sprintf("large-%d.png", i), make([]byte, 90<<20), nil)
		if err != nil || status != 200 {
			t.Errorf("upload of 90 MiB: %d %s %v", status, text, err)
		}
	})
	many(8, func(i int) {
		if status, _ := p.raw(t, "GET", fmt.Sprintf("/view?type=input&filename=large-%d.png", i%4), ""); status != 200 {
			t.Errorf("view of 90 MiB: %d", status)
		}
	})
	p.within(t, most, "taking and giving files of 90 MiB")

	for name, body := range hostile(t) {
		many(2, func(int) { p.raw(t, "POST", "/prompt", body) })
		p.idle(t)
		p.within(t, most, name)
	}
	largest := take(t, 5, func(g *graph.Params) { g.Width, g.Height, g.Steps = 2048, 2048, 1 })
	r := wait(t, p.Client, submit(t, p.Client, largest, ""))
	image := r.Outputs[graph.SaveNode].Images[0]
	submit(t, p.Client, bytes.Replace(largest, []byte(`"seed":5`), []byte(`"seed":6`), 1), "")
	many(8, func(i int) {
		how := []string{"preview=jpeg", "channel=a", "channel=rgb", ""}[i%4]
		if status, text := p.raw(t, "GET", "/view?filename="+image.Filename+"&subfolder="+image.Subfolder+"&"+how, ""); status != 200 {
			t.Errorf("view of the largest picture with %q: %d %s", how, status, text)
		}
	})
	p.idle(t)
	p.within(t, most, "drawing and viewing the largest picture")

	listeners(t, p, 500)
	if status, _ := p.raw(t, "GET", "/ws?clientId="+strings.Repeat("x", 10000), ""); status != 400 {
		t.Errorf("a long clientId: %d", status)
	}
	for i := range 40 { // each changes the length of the queue for all who listen, and stays in history
		g := take(t, uint64(i), func(g *graph.Params) {
			g.Width, g.Height, g.Steps, g.Positive = 64, 64, 1, strings.Repeat("words ", 150_000)
		})
		p.raw(t, "POST", "/prompt", fmt.Sprintf(`{"prompt":%s,"client_id":"deaf-%d"}`, g, i))
	}
	p.idle(t)
	many(4, func(int) { p.raw(t, "GET", "/history", "") })
	p.within(t, most, "telling 500 clients that never read, and filling history")
	p.works(t, 2)
}

func urlQuery(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// TestRelayMemory: whatever the relay is sent, by clients or by servers, it stays within its container and goes on working.
func TestRelayMemory(t *testing.T) {
	most := limit(t, "values.yaml", "comfyui", "relay")
	good := newPod(t)
	tale := endless(`{"queue_running":[[0,"`, strings.Repeat("a", 64))
	bad := troubled{"GET /queue": tale}.start(t)
	liar := troubled{
		"POST /prompt":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless("{", `"":0`)(w, r) },
		"GET /history/": endless(`{"`, "a"),
		"GET /view":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) },
		"GET /ws": func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"status","data":{}}`))
			c.Write(r.Context(), websocket.MessageText, append([]byte(`{"type":"executed","data":{"output":"`), bytes.Repeat([]byte("x"), 60<<20)...))
		},
	}.start(t)
	r := newProcess(t, "comfyui-relay", "DATABASE_URL="+startPostgres(t), "BACKENDS="+strings.Join([]string{good.url(), bad, liar}, ","))
	ctx := t.Context()
	until(t, "it works", func() bool {
		status, _, err := r.Do(ctx, "POST", "/prompt", map[string]any{"prompt": take(t, 1)})
		return err == nil && status == 200
	})
	r.within(t, most, "asking servers that never come to an end")

	many(4, func(i int) {
		var status int
		var text []byte
		until(t, "an upload is taken", func() bool {
			var err error
			status, text, err = r.Upload(ctx, fmt.Sprintf("large-%d.png", i), make([]byte, 90<<20), nil)
			return err == nil && status == 200 && bytes.Contains(text, []byte("large"))
		})
	})
	many(8, func(i int) {
		if status, _ := r.raw(t, "GET", fmt.Sprintf("/view?type=input&filename=large-%d.png", i%4), ""); status != 200 {
			t.Errorf("view of 90 MiB: %d", status)
		}
	})
	if status, _, err := r.Upload(ctx, "huge.png", make([]byte, 101<<20), nil); err == nil && status != http.StatusRequestEntityTooLarge {
		t.Errorf("101 MiB upload: %d", status)
	}
	r.within(t, most, "passing files of 90 MiB on")

	for name, body := range hostile(t) {
		if strings.Contains(name, "large pictures") || strings.Contains(name, "is held") {
			continue // these are the server's affair
		}
		many(2, func(int) { r.raw(t, "POST", "/prompt", body) })
		r.within(t, most, name)
	}
	listeners(t, r, 500)
	if status, _ := r.raw(t, "GET", "/ws?clientId="+strings.Repeat("x", 10000), ""); status != 400 {
		t.Errorf("a long clientId: %d", status)
	}
	words := strings.Repeat("words ", 150_000)
	many(60, func(i int) {
		g := take(t, uint64(i), func(g *graph.Params) { g.Width, g.Height, g.Steps, g.Positive = 64, 64, 1, words })
		r.raw(t, "POST", "/prompt", fmt.Sprintf(`{"prompt":%s,"client_id":"deaf-%d","prompt_id":%q}`, g, i, uuid.NewString()))
	})
	many(6, func(i int) { r.raw(t, "GET", []string{"/queue", "/history"}[i%2], "") })
	r.within(t, most, "60 prompts of a megabyte for 500 clients that never read")
	r.idle(t)
	many(6, func(i int) { r.raw(t, "GET", []string{"/queue", "/history"}[i%2], "") })
	r.within(t, most, "telling their history")
	var last *conformance.Record
	until(t, "it still works", func() bool {
		id, err := r.Submit(ctx, take(t, 2), "")
		if err != nil {
			return false
		}
		last = wait(t, r.Client, id)
		return last.Status.Text == "success"
	})
	view(t, r.Client, last)
}
