// Package place says where the local cluster keeps what it makes: programs and images in the user's cache (safe to
// delete, costs only time), the cluster's data in a state directory (the user's films live there), sockets and
// addresses in a run directory that a reboot empties.
package place

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Places are absolute directories.
type Places struct {
	Repo  string // the checkout: charts/, services/, values/
	Cache string // built programs, base images, image store: shared by all clusters of this user
	State string // etcd, containerd, kubelet, volumes: survives `down`, not `down --purge`
	Run   string // sockets, address leases, pid files: gone after a reboot
}

// Find returns the places of the checkout that holds the working directory. AI_FILM_STATE and AI_FILM_CACHE move the
// state and the cache. It creates nothing.
func Find() (Places, error) {
	repo, err := checkout()
	if err != nil {
		return Places{}, err
	}
	cache := os.Getenv("AI_FILM_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return Places{}, fmt.Errorf("no cache directory: %w; set AI_FILM_CACHE to a directory on a disk with room", err)
		}
		cache = filepath.Join(user, "ai-film")
	}
	state := os.Getenv("AI_FILM_STATE")
	if state == "" {
		state = "/var/lib/ai-film"
	}
	for name, dir := range map[string]string{"AI_FILM_CACHE": cache, "AI_FILM_STATE": state} {
		if !filepath.IsAbs(dir) {
			return Places{}, fmt.Errorf("%s=%q is not absolute: give the full path", name, dir)
		}
	}
	return Places{Repo: repo, Cache: filepath.Clean(cache), State: filepath.Clean(state), Run: "/run/ai-film"}, nil
}

func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/ai-film/ai-film\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout of ai-film: change to the directory that has the Makefile", start)
		}
	}
}

// Kubeconfig is the administrator's access to the local cluster.
func (p Places) Kubeconfig() string { return filepath.Join(p.State, "kubeconfig") }

// Bin holds links to the programs of the running cluster under their own names (kubectl, helm, kubelet, …).
func (p Places) Bin() string { return filepath.Join(p.State, "bin") }

// ImageValues is the values file that tells the chart the tags of the images built here.
func (p Places) ImageValues() string { return filepath.Join(p.State, "images.yaml") }

// Volumes holds the data of the claims.
func (p Places) Volumes() string { return filepath.Join(p.State, "volumes") }

// Logs holds one file a component.
func (p Places) Logs() string { return filepath.Join(p.State, "logs") }

// Containerd is the socket of our own containerd.
func (p Places) Containerd() string { return filepath.Join(p.Run, "containerd.sock") }
