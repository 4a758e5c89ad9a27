// Package conformance holds a ComfyUI server, whoever wrote it, to ComfyUI's API: submit a graph, follow it on the
// WebSocket, fetch history and image, manage the queue, interrupt, upload, and have wrong graphs refused the way ComfyUI
// refuses them. The suite is in the package's tests:
//
//	go test ./comfyui/conformance -url http://127.0.0.1:8188        (or COMFYUI_URL in the environment; -token, COMFYUI_TOKEN)
//
// Without a URL it starts preview, and the relay in front of two of them, and runs against both.
package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Client speaks to one server. Prefix is "" or "/api".
type Client struct {
	Base, Prefix string
	Header       http.Header // sent with every request, such as Authorization
}

// Do sends a request, with body as JSON if it isn't nil, and returns status and body.
func (c *Client) Do(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(text)
	}
	return c.send(ctx, method, path, "application/json", reader)
}

func (c *Client) send(ctx context.Context, method, path, kind string, body io.Reader) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+c.Prefix+path, body)
	if err != nil {
		return 0, nil, err
	}
	for k, v := range c.Header {
		r.Header[k] = v
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// JSON asks for a 200 answer and decodes it.
func (c *Client) JSON(ctx context.Context, method, path string, body, into any) error {
	status, text, err := c.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s %s: status %d: %.400s", method, path, status, text)
	}
	if into == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s %s: %w in %.400s", method, path, err, text)
	}
	return nil
}

// Image names a file of a prompt's output.
type Image struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

// Record is one entry of history.
type Record struct {
	Prompt  []json.RawMessage `json:"prompt"`
	Outputs map[string]struct {
		Images []Image `json:"images"`
	} `json:"outputs"`
	Status struct {
		Text      string              `json:"status_str"`
		Completed bool                `json:"completed"`
		Messages  [][]json.RawMessage `json:"messages"`
	} `json:"status"`
}

// Submit posts a graph and returns its id.
func (c *Client) Submit(ctx context.Context, graph json.RawMessage, client string) (string, error) {
	var out struct {
		ID     string       `json:"prompt_id"`
		Number *json.Number `json:"number"`
		Errors any          `json:"node_errors"`
	}
	err := c.JSON(ctx, "POST", "/prompt", map[string]any{"prompt": graph, "client_id": client}, &out)
	if err == nil && (out.ID == "" || out.Number == nil) {
		err = fmt.Errorf("POST /prompt answered without prompt_id or number: %+v", out)
	}
	return out.ID, err
}

// History returns the record of a prompt, or nil while it is not done.
func (c *Client) History(ctx context.Context, id string) (*Record, error) {
	var out map[string]*Record
	err := c.JSON(ctx, "GET", "/history/"+id, nil, &out)
	return out[id], err
}

// Wait polls history until the prompt is done.
func (c *Client) Wait(ctx context.Context, id string) (*Record, error) {
	for {
		r, err := c.History(ctx, id)
		if err != nil || r != nil {
			return r, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("prompt %s is not done: %w", id, ctx.Err())
		}
	}
}

// View fetches an image.
func (c *Client) View(ctx context.Context, i Image) ([]byte, error) {
	q := url.Values{"filename": {i.Filename}, "subfolder": {i.Subfolder}, "type": {i.Type}}
	status, data, err := c.Do(ctx, "GET", "/view?"+q.Encode(), nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /view?%s: status %d", q.Encode(), status)
	}
	return data, err
}

// Upload posts an image; fields are further form fields.
func (c *Client) Upload(ctx context.Context, name string, data []byte, fields map[string]string) (int, []byte, error) {
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	part, err := m.CreateFormFile("image", name)
	if err != nil {
		return 0, nil, err
	}
	part.Write(data)
	for k, v := range fields {
		m.WriteField(k, v)
	}
	m.Close()
	return c.send(ctx, "POST", "/upload/image", m.FormDataContentType(), &form)
}

// Message is one event on the WebSocket.
type Message struct {
	Type string                     `json:"type"`
	Data map[string]json.RawMessage `json:"data"`
}

// Text is a string field of the message's data, "" if it is absent or null.
func (m Message) Text(field string) string {
	var s string
	json.Unmarshal(m.Data[field], &s)
	return s
}

// Listen opens the WebSocket and waits for the server's greeting, the first message in the channel: what is sent before
// it knows the session is lost. The channel is closed with the socket. Binary messages (preview images) are left out.
func (c *Client) Listen(ctx context.Context, client string) (<-chan Message, error) {
	address := "ws" + strings.TrimPrefix(strings.TrimSuffix(c.Base, "/"), "http") + c.Prefix + "/ws?clientId=" + url.QueryEscape(client)
	ws, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: c.Header})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(64 << 20)
	out := make(chan Message, 4096)
	_, hello, err := ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	var m Message
	if err := json.Unmarshal(hello, &m); err != nil {
		return nil, fmt.Errorf("greeting %.200q: %w", hello, err)
	}
	out <- m
	go func() {
		defer close(out)
		defer ws.CloseNow()
		for {
			kind, data, err := ws.Read(ctx)
			if err != nil {
				return
			}
			var m Message
			if kind != websocket.MessageText || json.Unmarshal(data, &m) != nil {
				continue
			}
			select {
			case out <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// head asks with GET and returns the answer's header.
func (c *Client) head(ctx context.Context, path string) (http.Header, int, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(c.Base, "/")+c.Prefix+path, nil)
	if err != nil {
		return nil, 0, err
	}
	maps.Copy(r.Header, c.Header)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, 0, err
	}
	answer.Body.Close()
	return answer.Header, answer.StatusCode, nil
}
