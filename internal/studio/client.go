package studio

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Client speaks to one studio.
type Client struct {
	URL      *url.URL // of the studio's page, for instance http://ai-film.local
	User     string
	Password string
	HTTP     *http.Client // must have no Timeout: events and videos take their time

	// Patience is how long Submit, Follow and Download go on trying when the
	// studio does not answer; zero means two minutes.
	Patience time.Duration
	// Silence is how long a stream may say nothing before it counts as broken;
	// zero means 30 s, three times what the studio promises.
	Silence time.Duration
	// Broken is told when a connection breaks and is tried again; may be nil.
	Broken func(error)
}

// NewClient returns a client of the studio at an http or https URL.
func NewClient(base, user, password string) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a studio; one looks like http://ai-film.local", base)
	}
	return &Client{URL: parsed, User: user, Password: password, HTTP: &http.Client{}}, nil
}

// Unreachable is the error of a studio that did not answer, or not as one.
type Unreachable struct {
	URL string
	Err error
}

func (e *Unreachable) Error() string { return fmt.Sprintf("the studio at %s: %v", e.URL, e.Err) }
func (e *Unreachable) Unwrap() error { return e.Err }

// Submit stores a film to be made. It is safe against broken connections: the
// studio makes one film of all tries.
func (c *Client) Submit(ctx context.Context, submission Submission) (*Film, error) {
	body, err := json.Marshal(submission)
	if err != nil {
		return nil, err
	}
	var key [16]byte
	rand.Read(key[:])
	film := new(Film)
	err = c.persist(ctx, func() error {
		return c.do(ctx, "POST", "/api/films", body, http.Header{"Idempotency-Key": {hex.EncodeToString(key[:])}}, film)
	})
	return film, err
}

// Get returns the film, its plan and stages.
func (c *Client) Get(ctx context.Context, id string) (*Film, error) {
	film := new(Film)
	return film, c.do(ctx, "GET", filmPath(id), nil, nil, film)
}

// Raw returns the film's JSON as the studio sent it.
func (c *Client) Raw(ctx context.Context, id string) (json.RawMessage, error) {
	var raw json.RawMessage
	return raw, c.do(ctx, "GET", filmPath(id), nil, nil, &raw)
}

// List returns the newest films, at most limit, older than the film before if
// that is not empty.
func (c *Client) List(ctx context.Context, limit int, before string) ([]Film, error) {
	var films []Film
	for limit > 0 {
		query := url.Values{"limit": {strconv.Itoa(min(limit, 100))}}
		if before != "" {
			query.Set("before", before)
		}
		var page struct {
			Films []Film  `json:"films"`
			Next  *string `json:"next"`
		}
		if err := c.do(ctx, "GET", "/api/films?"+query.Encode(), nil, nil, &page); err != nil {
			return nil, err
		}
		films = append(films, page.Films...)
		limit -= len(page.Films)
		if page.Next == nil || len(page.Films) == 0 {
			break
		}
		before = *page.Next
	}
	return films, nil
}

// Resolve returns the id of the film that an id or the unique beginning of one
// stands for, among the newest 500.
func (c *Client) Resolve(ctx context.Context, prefix string) (string, error) {
	if len(prefix) >= 36 {
		return prefix, nil
	}
	films, err := c.List(ctx, 500, "")
	if err != nil {
		return "", err
	}
	var found []string
	for _, film := range films {
		if strings.HasPrefix(film.ID, strings.ToLower(prefix)) {
			found = append(found, film.ID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("%d films begin with %q; give more of the id", len(found), prefix)
	}
	return "", fmt.Errorf("no film begins with %q; «ai-film list» shows them", prefix)
}

// Cancel asks for the film to stop and returns it; it may take a moment.
func (c *Client) Cancel(ctx context.Context, id string) (*Film, error) {
	film := new(Film)
	return film, c.do(ctx, "POST", filmPath(id)+"/cancel", nil, nil, film)
}

// Delete removes the film and its files; one in work is stopped first.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", filmPath(id), nil, nil, nil)
}

func filmPath(id string) string { return "/api/films/" + url.PathEscape(id) }

// do sends a request and decodes the answer's JSON into result. Errors are a
// *Problem, an *Unreachable, or the context's.
func (c *Client) do(ctx context.Context, method, path string, body []byte, header http.Header, result any) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	answer, err := c.send(ctx, method, path, body, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if result == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<20)).Decode(result); err != nil {
		if ctx.Err() == nil && isJSON(answer) {
			err = fmt.Errorf("the answer broke off: %w", err)
		} else if !isJSON(answer) {
			err = fmt.Errorf("it answered %s with %s; is it an ai-film studio?", answer.Status, answer.Header.Get("Content-Type"))
		}
		return &Unreachable{c.URL.String(), err}
	}
	return nil
}

// send sends a request; an answer from 400 up is an error, and its body closed.
func (c *Client) send(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	target := strings.TrimRight(c.URL.String(), "/") + path
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.SetBasicAuth(c.User, c.Password)
	answer, err := c.HTTP.Do(request)
	if err != nil {
		var wrapped *url.Error // says method and URL again
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &Unreachable{c.URL.String(), err}
	}
	if answer.StatusCode < 400 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refusal(answer, c.URL.String())
}

// refusal is what an answer that is none says.
func refusal(answer *http.Response, base string) error {
	problem := &Problem{Status: answer.StatusCode}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if !isJSON(answer) || json.Unmarshal(text, problem) != nil || problem.Title == "" {
		// An ingress without a studio behind it answers in its own words.
		return &Unreachable{base, &Problem{Status: answer.StatusCode, Title: "it answered " + answer.Status}}
	}
	problem.Status = answer.StatusCode
	return problem
}

func isJSON(answer *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// passing tells whether trying again may help.
func passing(err error) bool {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem.Status == 429 || problem.Status == 502 || problem.Status == 503 || problem.Status == 504
	}
	var unreachable *Unreachable
	return errors.As(err, &unreachable)
}

// persist calls try until it succeeds, fails for good, or Patience runs out.
func (c *Client) persist(ctx context.Context, try func() error) error {
	end := time.Now().Add(c.patience())
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := try()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if time.Now().Add(pause).After(end) {
			return err
		}
		c.broken(err)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (c *Client) patience() time.Duration {
	if c.Patience == 0 {
		return 2 * time.Minute
	}
	return c.Patience
}

func (c *Client) silence() time.Duration {
	if c.Silence == 0 {
		return 30 * time.Second
	}
	return c.Silence
}

func (c *Client) broken(err error) {
	if c.Broken != nil {
		c.Broken(err)
	}
}

func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
