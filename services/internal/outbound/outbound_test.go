package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestOnlyPublicAddressesUnlessAllowed(t *testing.T) {
	g, err := NewGuard(" 10.1.0.0/16, fd00:1::/64 ,127.0.0.2/32")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "104.16.132.229": true, "2606:4700::6810:84e5": true, "172.15.0.1": true, "172.32.0.1": true, "100.128.0.1": true,
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00:1::7": true, "127.0.0.2": true, // allowed
		"10.2.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "10.96.0.1": false, "fd00:2::1": false, // inside
		"127.0.0.1": false, "127.8.8.8": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "100.100.100.200": false, "169.254.20.10": false, // metadata, link-local
		"64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "2001:0:4136:e378:8000:63bf:3fff:fdd2": false, "::127.0.0.1": false, // IPv4 within IPv6
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false, "2001:db8::1": false,
	} {
		if err := g.Permit(netip.MustParseAddr(address)); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", address, err, want)
		}
	}
	if _, err := NewGuard("10.1.0.0/16,loopback"); err == nil || !strings.Contains(err.Error(), `"loopback"`) {
		t.Errorf("%v", err)
	}
}

// A name that meant one address when it was looked at and means another when it is connected to is refused then.
func TestRebinding(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "inside") }))
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = l
	server.Start()
	defer server.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var last atomic.Int32
	last.Store(2)
	resolve(t, func() [4]byte { return [4]byte{127, 0, 0, byte(last.Load())} })
	g, _ := NewGuard("127.0.0.2/32")
	client := &http.Client{Transport: g.Transport(nil)}
	ask := func() error {
		client.CloseIdleConnections()
		answer, err := client.Get("http://rebinding.example.com:" + port)
		if err == nil {
			answer.Body.Close()
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatalf("the allowed address: %v", err)
	}
	last.Store(1)
	var refused *RefusedError
	if err := ask(); !errors.As(err, &refused) || refused.Address.String() != "127.0.0.1" {
		t.Errorf("after rebinding: %v", err)
	}
}

// resolve has every name mean what address says.
func resolve(t *testing.T, address func() [4]byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: address()}}}
			}
			if text, err := m.Pack(); err == nil {
				conn.WriteTo(text, from)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

func TestCredentialsGoWhereTheyBelong(t *testing.T) {
	dir := t.TempDir()
	write := func(key, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, key), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bearer-token", "confidential\n")
	write("cf-access-client-id", "id.access")
	write("cf-access-client-secret", "also confidential")
	write("hosts", "gpu.example.com *.tunnels.example.org\n")
	c := NewCredentials(dir)
	for base, trusted := range map[string]bool{
		"https://gpu.example.com": false, "https://GPU.example.com.:8443/x": false, "https://a.b.tunnels.example.org": false, "http://10.0.0.5:8188": true} {
		u, _ := url.Parse(base)
		h := c.For(u, trusted)()
		if h.Get("Authorization") != "Bearer confidential" || h.Get("Cf-Access-Client-Id") != "id.access" || h.Get("Cf-Access-Client-Secret") != "also confidential" {
			t.Errorf("%s: %v", base, h)
		}
	}
	for _, base := range []string{"https://example.com", "https://evil-gpu.example.com", "https://gpu.example.com.evil.org", "http://gpu.example.com",
		"https://tunnels.example.org", "https://eviltunnels.example.org"} {
		u, _ := url.Parse(base)
		if h := c.For(u, false)(); len(h) > 0 {
			t.Errorf("%s is told %v", base, h)
		}
	}
	u, _ := url.Parse("https://gpu.example.com")
	header := c.For(u, false)
	for key, text := range map[string]string{"bearer-token": "a\nb", "authorization": "Basic\x00"} {
		write(key, text)
		c.read = time.Time{}
		if c.Err() == nil || len(header()) > 0 || strings.Contains(c.Err().Error(), text) {
			t.Errorf("%q: %v, %v", text, c.Err(), header())
		}
	}
	write("authorization", "Digest x") // a changed Secret is read anew
	c.read = time.Time{}
	if got := header().Get("Authorization"); got != "Digest x" {
		t.Errorf("%q", got)
	}
}

// What a tunnel would cut off is not sent, and what would be too many at once waits.
func TestLimitsOfATunnel(t *testing.T) {
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body) }))
	defer sink.Close()
	var most, now atomic.Int64
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		<-hold
	}))
	defer server.Close()
	g, _ := NewGuard("127.0.0.0/8")
	client := &http.Client{Transport: g.Transport(nil)}
	var large *BodyError
	if _, err := client.Post(sink.URL, "", io.LimitReader(zero{}, MaxBody+1)); !errors.As(err, &large) {
		t.Errorf("%v", err)
	}
	answered := make(chan error)
	const many = MaxInFlight + 40
	for range many {
		go func() {
			answer, err := client.Get(server.URL)
			if err == nil {
				answer.Body.Close()
			}
			answered <- err
		}()
	}
	for now.Load() < MaxInFlight {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	for range many {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != MaxInFlight {
		t.Errorf("%d at once", most.Load())
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }
