package studio

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// bridgeKey is the key of the release's Secret that registrations are signed with.
const bridgeKey = "bridge-secret"

// A Registration asks something of the bridge: that a ComfyUI elsewhere draws
// for the studio (Act "register"), or no more ("release"), or how it stands
// ("status"). It is a JSON Web Token, see docs/contracts.md.
type Registration struct {
	Act    string  `json:"act"`
	Name   string  `json:"name,omitempty"`
	URL    string  `json:"url,omitempty"`
	Weight float64 `json:"weight,omitempty"`
	Issued float64 `json:"iat"` // seconds since 1970; Sign sets it where it is zero
	ID     string  `json:"jti"` // likewise
}

// Sign makes the registration's text.
func (r Registration) Sign(secret string) string {
	if r.Issued == 0 {
		r.Issued = float64(time.Now().UnixMicro()) / 1e6
	}
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	payload, _ := json.Marshal(r) // strings and numbers: can't fail
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// Servers is how it stands with the ComfyUI servers of a studio.
type Servers struct {
	State   string         `json:"state"` // ready, fallback or waiting
	Why     string         `json:"why"`
	Waiting int            `json:"waiting"` // prompts that no server has
	Servers []RemoteServer `json:"servers"`
}

// RemoteServer is one of them.
type RemoteServer struct {
	Name     string  `json:"name"`
	URL      string  `json:"url"`
	GPU      string  `json:"gpu"`
	Ready    bool    `json:"ready"`
	Leaving  bool    `json:"leaving"`
	Fallback bool    `json:"fallback"`
	Weight   float64 `json:"weight"`
	Pace     float64 `json:"pace_seconds"`
	Queue    int     `json:"queue"`
	Error    string  `json:"error"`
}

// Registered is what the bridge answers where all went well.
type Registered struct {
	Name      string `json:"name"`
	URL       string `json:"url"`
	Unchanged bool   `json:"unchanged"`
	Measured  *struct {
		GPU       string  `json:"gpu"`
		VRAM      float64 `json:"vram_gib"`
		Version   string  `json:"comfyui"`
		RoundTrip float64 `json:"round_trip_ms"`
		First     float64 `json:"first_seconds"`
		Next      float64 `json:"next_seconds"`
	} `json:"measured"`
	Relay   *Servers `json:"relay"`
	History []struct {
		At   time.Time `json:"at"`
		Act  string    `json:"act"`
		Name string    `json:"name"`
		URL  string    `json:"url"`
		GPU  string    `json:"gpu"`
	} `json:"history"`
}

// A Bridge is where servers register.
type Bridge struct {
	url, secret string
	http        *http.Client
}

// NewBridge returns the bridge at an http or https URL, for whoever has its
// secret.
func NewBridge(base, secret string) (*Bridge, error) {
	parsed, err := url.Parse(base)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a bridge; one looks like https://bridge.example.com", base)
	}
	return &Bridge{strings.TrimRight(base, "/"), secret, &http.Client{}}, nil
}

// Bridge returns the release's bridge, reached as Connect does.
func (r Release) Bridge(ctx context.Context) (*Bridge, error) {
	base, over, secret, err := r.reach(ctx, "comfyui-bridge", bridgeKey, "")
	if err != nil {
		return nil, err
	}
	return &Bridge{base, secret, over}, nil
}

// Servers asks the release's relay how it stands with the servers; it needs no
// bridge.
func (r Release) Servers(ctx context.Context) (*Servers, error) {
	base, over, token, err := r.reach(ctx, "comfyui", "service-token", "")
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, "GET", base+"/v1/servers", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := over.Do(request)
	if err != nil {
		return nil, &Unreachable{base, err}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer, base)
	}
	servers := new(Servers)
	return servers, json.NewDecoder(answer.Body).Decode(servers)
}

// Silence is how long the bridge may say nothing before it counts as gone.
const bridgeSilence = 60 * time.Second

// Send sends a registration, freshly signed, and tells step what is under way.
func (b *Bridge) Send(ctx context.Context, registration Registration, step func(string)) (*Registered, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(bridgeSilence, cancel)
	defer silent.Stop()
	request, err := http.NewRequestWithContext(ctx, "POST", b.url+"/v1/registrations", bytes.NewReader([]byte(registration.Sign(b.secret))))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/jwt")
	answer, err := b.http.Do(request)
	if err != nil {
		return nil, &Unreachable{b.url, err}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer, b.url)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		silent.Reset(bridgeSilence)
		var line struct {
			State   string      `json:"state"`
			Step    string      `json:"step"`
			Result  *Registered `json:"result"`
			Problem *Problem    `json:"problem"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, &Unreachable{b.url, fmt.Errorf("no bridge answers there: %w", err)}
		}
		switch {
		case line.State == "failed" && line.Problem != nil:
			return nil, line.Problem
		case line.State == "done" && line.Result != nil:
			return line.Result, nil
		case line.Step != "" && step != nil:
			step(line.Step)
		}
	}
	return nil, &Unreachable{b.url, errors.Join(errors.New("the answer broke off"), lines.Err())}
}
