// Package bridge is where a ComfyUI elsewhere registers with the studio: a notebook on Colab, a rented box, a workstation. It
// takes a signed registration, looks at the server and has it draw, names it in the ConfigMap that the relay follows, waits
// until the relay uses it, and answers with what it measured. Nothing of a refused registration changes anything.
//
// Where a notebook can't reach the studio, the bridge looks for registrations at a rendezvous: any https URL.
package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-film/ai-film/services/comfyui/endpoint"
	"github.com/ai-film/ai-film/services/comfyui/relay"
	"github.com/ai-film/ai-film/services/internal/outbound"
	"github.com/ai-film/ai-film/services/internal/serving"
)

// Options configures a bridge.
type Options struct {
	Secret      []byte // what registrations are signed with
	Place       *endpoint.Place
	Guard       outbound.Guard
	PlainHTTP   bool // take http:// URLs: where all traffic stays in networks of one's own
	Credentials *outbound.Credentials
	Relay       string // base URL of the relay
	Token       string // the studio's, for the relay
	Checkpoint  string // that the studio's graph names
	RequireGPU  bool
	Trial       time.Duration // for the first trial picture; 3 min if zero
	Settle      time.Duration // for the relay to use the server; 1 min if zero
	Rendezvous  string        // URL that is looked at for registrations, "" for none
	Every       time.Duration // how often; 1 min if zero
	Registry    *prometheus.Registry
}

// Bridge is the bridge. Make it with New.
type Bridge struct {
	Options
	check    *checker
	relay    *http.Client
	handled  *prometheus.CounterVec
	busy     chan struct{} // registrations under way
	met      *http.Client  // for the rendezvous
	mu       sync.Mutex
	seen     map[string]time.Time // ids of registrations → when they can be forgotten
	naming   map[string]chan struct{}
	unusable string // why the rendezvous could not be read last
}

// Limits of what is under way at once.
const (
	maxBusy = 4
	maxSeen = 10000
)

// New makes a bridge.
func New(o Options) *Bridge {
	if o.Trial == 0 {
		o.Trial = 3 * time.Minute
	}
	if o.Settle == 0 {
		o.Settle = time.Minute
	}
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.Credentials == nil {
		o.Credentials = outbound.NewCredentials("")
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b := &Bridge{Options: o, busy: make(chan struct{}, maxBusy), seen: map[string]time.Time{}, naming: map[string]chan struct{}{},
		relay:   &http.Client{Timeout: 10 * time.Second, CheckRedirect: noRedirect},
		met:     &http.Client{Timeout: 30 * time.Second, CheckRedirect: noRedirect, Transport: o.Guard.Transport(nil)},
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aifilm_bridge_registrations_total", Help: "Registrations, by what they ask and what became of them."}, []string{"act", "result"}),
	}
	b.check = &checker{checkpoint: o.Checkpoint, requireGPU: o.RequireGPU, patience: o.Trial, pace: gpuTime, wait: answerTime, client: func(u *url.URL) *http.Client {
		return &http.Client{CheckRedirect: noRedirect, Transport: o.Guard.Transport(o.Credentials.For(u, false))}
	}}
	if o.Registry != nil {
		o.Registry.MustRegister(b.handled)
	}
	return b
}

// Result is the last line of an answer where all went well.
type Result struct {
	Name      string           `json:"name,omitempty"`
	URL       string           `json:"url,omitempty"`
	Unchanged bool             `json:"unchanged,omitempty"` // it was so before
	Measured  *Measured        `json:"measured,omitempty"`
	Relay     *relay.Status    `json:"relay,omitempty"`
	History   []endpoint.Entry `json:"history,omitempty"`
}

// Handler serves POST /v1/registrations. The body is a registration, see Claims; the answer application/x-ndjson as that of a job:
// lines {"state":"running","step":…}, at least one every 5 s, and a last one {"state":"done","result":…} or {"state":"failed","problem":…}.
// What is refused at once is an ordinary problem document.
func (b *Bridge) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxToken))
		if err != nil {
			b.refuse(w, "unknown", serving.NewProblem(http.StatusRequestEntityTooLarge, "body too large", fmt.Sprintf("a registration has at most %d KiB", maxToken>>10), ""), q.RemoteAddr)
			return
		}
		c, err := b.admit(string(text))
		if err != nil {
			act := c.Act
			if act == "" {
				act = "unknown"
			}
			b.refuse(w, act, err, q.RemoteAddr)
			return
		}
		select {
		case b.busy <- struct{}{}:
			defer func() { <-b.busy }()
		default:
			w.Header().Set("Retry-After", "10")
			b.refuse(w, c.Act, serving.NewProblem(http.StatusTooManyRequests, "queue full", fmt.Sprintf("%d registrations are under way", maxBusy), "sign and send it again"), q.RemoteAddr)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no")
		out := lines{w: w, flush: http.NewResponseController(w).Flush}
		stop := out.beat(5 * time.Second)
		result, err := b.carryOut(q.Context(), c, func(step string) { out.write(map[string]any{"state": "running", "step": step}) })
		stop()
		if err != nil {
			out.write(map[string]any{"state": "failed", "problem": problemOf(err)})
			return
		}
		out.write(map[string]any{"state": "done", "result": result})
	})
}

// refuse answers, and logs nothing that the stranger sent but what kind it was.
func (b *Bridge) refuse(w http.ResponseWriter, act string, err error, from string) {
	p := problemOf(err)
	b.handled.WithLabelValues(act, "refused").Inc()
	slog.Warn("registration refused", "act", act, "reason", p.Error(), "address", from)
	serving.WriteProblem(w, p)
}

func problemOf(err error) *serving.Problem {
	if unfit, ok := errors.AsType[*UnfitError](err); ok {
		return serving.NewProblem(http.StatusUnprocessableEntity, unfit.Title, unfit.Detail, unfit.Remedy)
	}
	return serving.AsProblem(err)
}

// admit verifies a registration, and takes each only once.
func (b *Bridge) admit(text string) (Claims, error) {
	now := time.Now()
	c, err := Verify(b.Secret, text, now)
	if errors.Is(err, errSignature) {
		return Claims{}, serving.NewProblem(http.StatusUnauthorized, "not authorized", err.Error(), "")
	}
	if err != nil {
		return Claims{}, serving.NewProblem(http.StatusForbidden, "stale registration", err.Error(), "")
	}
	switch c.Act {
	case "register", "release":
		if err := endpoint.CheckName(c.Name); err != nil {
			return Claims{}, serving.Invalid("name", "", "%v", err)
		}
		if c.URL != "" || c.Act == "register" {
			if c.URL, err = endpoint.CheckURL(c.URL); err != nil {
				return Claims{}, serving.Invalid("url", "", "%v", err)
			}
			if c.Act == "register" && !b.PlainHTTP && !strings.HasPrefix(c.URL, "https:") {
				return Claims{}, serving.Invalid("url", "give the https URL of the tunnel", "plain HTTP is taken only where networks are allowed (remote.allowCIDRs)")
			}
		}
		if c.Weight < 0 || c.Weight > 1000 {
			return Claims{}, serving.Invalid("weight", "", "%v is not between 0 and 1000", c.Weight)
		}
	case "status":
	default:
		return Claims{}, serving.Invalid("act", "", "%q is none of register, release, status", clip(c.Act))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, until := range b.seen {
		if now.After(until) {
			delete(b.seen, id)
		}
	}
	if _, again := b.seen[c.ID]; again {
		return c, replayed()
	}
	if len(b.seen) >= maxSeen {
		return c, serving.NewProblem(http.StatusTooManyRequests, "queue full", "too many registrations in a few minutes", "sign and send it again later")
	}
	b.seen[c.ID] = now.Add(3 * MaxAge)
	return c, nil
}

func replayed() error {
	return serving.NewProblem(http.StatusConflict, "replayed registration", errReplay.Error(), "")
}

// carryOut does what an admitted registration asks, one at a time for a name.
func (b *Bridge) carryOut(ctx context.Context, c Claims, step func(string)) (result Result, err error) {
	defer func() {
		word := "done"
		if err != nil {
			word = "failed"
			p := problemOf(err)
			slog.Warn("registration failed", "act", c.Act, "name", c.Name, "url", c.URL, "reason", p.Error())
			if c.Act != "status" {
				b.tell(ctx, "Warning", "Refused", fmt.Sprintf("%s: %s", c.Name, p.Error()))
			}
		}
		b.handled.WithLabelValues(c.Act, word).Inc()
	}()
	if c.Act != "status" {
		free, err := b.hold(ctx, c.Name)
		if err != nil {
			return result, err
		}
		defer free()
	}
	switch c.Act {
	case "register":
		return b.register(ctx, c, step)
	case "release":
		return b.release(ctx, c, step)
	}
	return b.status(ctx)
}

// hold waits until nobody else works on a name.
func (b *Bridge) hold(ctx context.Context, name string) (free func(), err error) {
	b.mu.Lock()
	turn := b.naming[name]
	if turn == nil {
		if len(b.naming) > 1000 {
			b.naming = map[string]chan struct{}{} // names of long ago
		}
		turn = make(chan struct{}, 1)
		b.naming[name] = turn
	}
	b.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// later tells whether a registration was signed after all that are known of its name, also those of before a restart of ours.
func later(c Claims, history []endpoint.Entry) error {
	for _, e := range history {
		if e.Name == c.Name && e.Issued >= c.Issued {
			return replayed()
		}
	}
	return nil
}

func (b *Bridge) register(ctx context.Context, c Claims, step func(string)) (Result, error) {
	result := Result{Name: c.Name, URL: c.URL}
	now, err := b.Place.Get(ctx)
	if err != nil {
		return result, away(err)
	}
	if err := later(c, endpoint.History(now)); err != nil {
		return result, err
	}
	known, _ := endpoint.Parse(now.Data)
	for _, e := range known {
		if e.Name != c.Name || e.URL != c.URL || e.Weight != cmp.Or(c.Weight, 1) {
			continue
		}
		if s, err := b.servers(ctx); err == nil && used(s, c.URL) { // as it is already: a heartbeat, or a second try
			result.Unchanged, result.Relay = true, &s
			return result, nil
		}
	}
	m, err := b.check.check(ctx, c.URL, step)
	if err != nil {
		return result, err
	}
	result.Measured = &m
	step("names it in the ConfigMap " + b.Place.Name)
	at := time.Now().UTC().Truncate(time.Second)
	entry := endpoint.Entry{At: at, Act: "register", Name: c.Name, URL: c.URL, GPU: m.GPU, Pace: m.Next, Issued: c.Issued}
	err = b.Place.Change(ctx, entry, func(data map[string]string, history []endpoint.Entry) error {
		if err := later(c, history); err != nil {
			return err
		}
		if _, there := data[c.Name]; !there && len(data) >= endpoint.Most {
			return serving.NewProblem(http.StatusConflict, "too many servers", fmt.Sprintf("%d servers are registered", len(data)), "release those that are gone")
		}
		data[c.Name] = endpoint.Endpoint{URL: c.URL, Weight: c.Weight, GPU: m.GPU, Registered: at}.Text()
		return nil
	})
	if err != nil {
		return result, away(err)
	}
	slog.Info("registered", "name", c.Name, "url", c.URL, "gpu", m.GPU, "pace", m.Next)
	b.tell(ctx, "Normal", "Registered", fmt.Sprintf("%s draws at %s (%s, %.1f s a small picture)", c.Name, c.URL, m.GPU, m.Next))
	step("waits until the relay uses it")
	s, err := b.settle(ctx, func(s relay.Status) bool { return used(s, c.URL) })
	result.Relay = &s
	return result, err
}

func (b *Bridge) release(ctx context.Context, c Claims, step func(string)) (Result, error) {
	result := Result{Name: c.Name, URL: c.URL}
	entry := endpoint.Entry{At: time.Now().UTC().Truncate(time.Second), Act: "release", Name: c.Name, URL: c.URL, Issued: c.Issued}
	was := ""
	err := b.Place.Change(ctx, entry, func(data map[string]string, history []endpoint.Entry) error {
		if err := later(c, history); err != nil {
			return err
		}
		was = ""
		known, _ := endpoint.Parse(map[string]string{c.Name: data[c.Name]})
		if _, there := data[c.Name]; there && (c.URL == "" || len(known) == 1 && known[0].URL == c.URL) { // not its successor's
			was = "there"
			delete(data, c.Name)
		}
		return nil
	})
	if err != nil {
		return result, away(err)
	}
	if was == "" {
		result.Unchanged = true
		return result, nil
	}
	slog.Info("released", "name", c.Name, "url", c.URL)
	b.tell(ctx, "Normal", "Released", c.Name+" draws no more")
	step("waits until the relay leaves it")
	s, err := b.settle(ctx, func(s relay.Status) bool {
		for _, one := range s.Servers {
			if one.Name == c.Name && !one.Leaving {
				return false
			}
		}
		return true
	})
	result.Relay = &s
	return result, err
}

func (b *Bridge) status(ctx context.Context) (Result, error) {
	m, err := b.Place.Get(ctx)
	if err != nil {
		return Result{}, away(err)
	}
	s, err := b.servers(ctx)
	if err != nil {
		return Result{}, err
	}
	return Result{Relay: &s, History: endpoint.History(m)}, nil
}

// away is what a registrant is told of a failure on our side.
func away(err error) error {
	if _, ours := errors.AsType[*serving.Problem](err); ours {
		return err
	}
	return serving.NewProblem(http.StatusServiceUnavailable, "kubernetes is missing", err.Error(), "sign and send it again")
}

// servers is what the relay says.
func (b *Bridge) servers(ctx context.Context) (s relay.Status, err error) {
	q, err := http.NewRequestWithContext(ctx, "GET", b.Relay+"/v1/servers", nil)
	if err != nil {
		return s, err
	}
	q.Header.Set("Authorization", "Bearer "+b.Token)
	answer, err := b.relay.Do(q)
	if err == nil {
		defer answer.Body.Close()
		if err = json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&s); err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
	}
	if err != nil {
		return s, serving.NewProblem(http.StatusServiceUnavailable, "comfyui is missing", "the relay does not answer: "+err.Error(), "look at its pods: kubectl get pods -l app.kubernetes.io/component=relay")
	}
	return s, nil
}

func used(s relay.Status, url string) bool {
	for _, one := range s.Servers {
		if one.URL == url && one.Ready && !one.Leaving {
			return true
		}
	}
	return false
}

// settle waits until the relay is as it should be.
func (b *Bridge) settle(ctx context.Context, ok func(relay.Status) bool) (s relay.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.Settle)
	defer cancel()
	for {
		if s, err = b.servers(ctx); err == nil && ok(s) {
			return s, nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			why := s.Why
			if err != nil {
				why = err.Error()
			}
			return s, serving.NewProblem(http.StatusGatewayTimeout, "not used yet", fmt.Sprintf("it is written down, and the relay has not followed in %v: %s", b.Settle, why), "look at «ai-film remote status»")
		}
	}
}

func (b *Bridge) tell(ctx context.Context, kind, reason, message string) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := b.Place.Tell(ask, kind, reason, clip(message)); err != nil {
		slog.Warn("event could not be made", "error", err.Error())
	}
}

// Ready tells whether the ConfigMap can be read.
func (b *Bridge) Ready(ctx context.Context) error {
	_, err := b.Place.Get(ctx)
	return err
}

// Run looks at the rendezvous until ctx ends. What lies there holds registrations, separated by white space.
func (b *Bridge) Run(ctx context.Context) {
	if b.Rendezvous == "" {
		return
	}
	for ctx.Err() == nil {
		err := b.meet(ctx)
		why := ""
		if err != nil {
			why = err.Error()
		}
		if why != b.unusable && ctx.Err() == nil {
			slog.Info("rendezvous", "readable", err == nil, "reason", why)
			b.unusable = why
		}
		select {
		case <-time.After(b.Every):
		case <-ctx.Done():
		}
	}
}

// meet reads the rendezvous once. Old ones that still lie there are passed over.
func (b *Bridge) meet(ctx context.Context) error {
	q, err := http.NewRequestWithContext(ctx, "GET", b.Rendezvous, nil)
	if err != nil {
		return err
	}
	q.Header.Set("Cache-Control", "no-cache")
	answer, err := b.met.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 8*maxToken+1))
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", answer.StatusCode)
	case len(text) > 8*maxToken:
		return fmt.Errorf("more than %d KiB", 8*maxToken>>10)
	}
	for one := range strings.FieldsSeq(string(text)) {
		c, err := b.admit(one)
		if err != nil {
			continue // most often the one of a minute ago
		}
		b.busy <- struct{}{}
		b.carryOut(ctx, c, func(string) {})
		<-b.busy
	}
	return nil
}

// lines writes JSON, one object a line, each at once.
type lines struct {
	mu    sync.Mutex
	w     io.Writer
	flush func() error
	last  time.Time
}

func (l *lines) write(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(`{"state":"failed","problem":{"title":"internal error","status":500}}`)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.Write(append(text, '\n'))
	l.flush()
	l.last = time.Now()
}

// beat writes a line whenever none was written for so long, until stop is called.
func (l *lines) beat(interval time.Duration) (stop func()) {
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticker := time.NewTicker(interval / 2)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				l.mu.Lock()
				silent := time.Since(l.last) > interval/2
				l.mu.Unlock()
				if silent {
					l.write(map[string]any{"state": "running"})
				}
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-gone }
}
