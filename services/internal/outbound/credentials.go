package outbound

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Credentials are what servers elsewhere ask for, one file a key, as Kubernetes mounts a Secret:
//
//	authorization                                        the header Authorization as it is
//	bearer-token                                         or its token (RFC 6750)
//	username, password                                   or HTTP Basic
//	cf-access-client-id, cf-access-client-secret         beside these: a service token of Cloudflare Access
//	hosts                                                host names that may see them, also "*.example.com", by spaces or lines
//
// They are read anew after a few seconds, so that a changed Secret needs no restart.
type Credentials struct {
	dir string

	mu     sync.Mutex
	read   time.Time
	header http.Header
	hosts  []string
	err    error
}

// credentialsAge is for how long what was read is taken for true.
const credentialsAge = 5 * time.Second

// NewCredentials are those in a directory; "" has none.
func NewCredentials(dir string) *Credentials { return &Credentials{dir: dir} }

// Err says what is wrong with the files, nil where they can be used.
func (c *Credentials) Err() error {
	_, _, err := c.current()
	return err
}

// For returns what a server at base is told with each request. A trusted one is the operator's own choice; another gets
// credentials only by https and where the key hosts names its host, since whoever registers a server would read them.
func (c *Credentials) For(base *url.URL, trusted bool) func() http.Header {
	return func() http.Header {
		header, hosts, _ := c.current()
		if trusted || base.Scheme == "https" && slices.ContainsFunc(hosts, func(h string) bool { return matches(base.Hostname(), h) }) {
			return header
		}
		return nil
	}
}

// matches tells whether a host is the one named, or below it where a name begins with "*.".
func matches(host, name string) bool {
	host, name = strings.ToLower(strings.TrimSuffix(host, ".")), strings.ToLower(name)
	if parent, wild := strings.CutPrefix(name, "*"); wild {
		return strings.HasPrefix(parent, ".") && strings.HasSuffix(host, parent) && host != parent[1:]
	}
	return host == name
}

func (c *Credentials) current() (http.Header, []string, error) {
	if c.dir == "" {
		return nil, nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) > credentialsAge {
		c.header, c.hosts, c.err = c.load()
		c.read = time.Now()
	}
	return c.header, c.hosts, c.err
}

func (c *Credentials) load() (http.Header, []string, error) {
	header := http.Header{}
	get := func(key string) string {
		text, _ := os.ReadFile(filepath.Join(c.dir, key)) // a key that is not there is none
		return strings.TrimSpace(string(text))
	}
	set := func(name, value string) error {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("the credentials for the header %s are not printable ASCII on one line", name)
		}
		header.Set(name, value)
		return nil
	}
	var err error
	if v := get("authorization"); v != "" {
		err = set("Authorization", v)
	} else if v := get("bearer-token"); v != "" {
		err = set("Authorization", "Bearer "+v)
	} else if user, password := get("username"), get("password"); user != "" || password != "" {
		err = set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	if id, secret := get("cf-access-client-id"), get("cf-access-client-secret"); id != "" && err == nil {
		if err = set("Cf-Access-Client-Id", id); err == nil {
			err = set("Cf-Access-Client-Secret", secret)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return header, strings.Fields(get("hosts")), nil
}
