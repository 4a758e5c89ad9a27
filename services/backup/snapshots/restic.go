package snapshots

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"time"
)

// tag is of every snapshot that is a backup of a studio.
const tag = "ai-film"

// What restic's exit codes say since 0.17.
const (
	incomplete   = 3  // some files could not be read
	noRepository = 10 // there is none at that place
	locked       = 11
	wrongKey     = 12
)

// Snapshot is a backup in the repository.
type Snapshot struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Host  string    `json:"hostname"` // of which studio it is: NAMESPACE/RELEASE
	Paths []string  `json:"paths"`
}

// Short is how people name it.
func (s Snapshot) Short() string { return s.ID[:min(8, len(s.ID))] }

// under returns the path of the snapshot that ends in name, which tells parts from each other wherever they lay.
func (s Snapshot) under(name string) (string, bool) {
	for _, p := range s.Paths {
		if p == name || strings.HasSuffix(p, "/"+name) {
			return p, true
		}
	}
	return "", false
}

// failure is a program that ended with an error.
type failure struct {
	program string
	code    int
	said    string
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s ended with %d: %s", f.program, f.code, strings.TrimSpace(f.said))
}

func code(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return 0
}

// run runs a program with the environment given beside this process's own. Its output goes to out, its input comes from
// in; both may be nil. The end of what it complains about is in the error.
func run(ctx context.Context, env []string, in io.Reader, out io.Writer, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdin, cmd.Stdout = in, out
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit):
		text := said.String()
		return &failure{program, exit.ExitCode(), text[max(0, len(text)-2000):]}
	}
	return fmt.Errorf("%s: %w", program, err)
}

// restic runs restic on the repository that its environment names. A lock of somebody at work is waited for.
func restic(ctx context.Context, out io.Writer, args ...string) error {
	err := run(ctx, nil, nil, out, "restic", append([]string{"--retry-lock", "10m"}, args...)...)
	switch code(err) {
	case wrongKey:
		return fmt.Errorf("the password does not open the repository: it is encrypted with another: %w", err)
	case locked:
		return fmt.Errorf("another backup is at work in the repository: %w", err)
	}
	return err
}

// open makes the repository where there is none, if it may.
func open(ctx context.Context, create bool) error {
	err := restic(ctx, nil, "cat", "config")
	if code(err) == noRepository && create {
		return restic(ctx, nil, "init")
	}
	if code(err) == noRepository {
		return fmt.Errorf("there is no repository of backups at the place named; check repository and credentials: %w", err)
	}
	if err != nil {
		return err
	}
	return restic(ctx, nil, "unlock") // what killed pods left, never what is in use
}

// Snapshots lists the backups of all studios in the repository, the oldest first.
func Snapshots(ctx context.Context) ([]Snapshot, error) {
	if err := open(ctx, false); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := restic(ctx, &out, "snapshots", "--json", "--tag", tag); err != nil {
		return nil, err
	}
	var all []Snapshot
	return all, json.Unmarshal(out.Bytes(), &all)
}

// save makes a snapshot and returns its id. Nothing is left of one that could not be made whole.
func save(ctx context.Context, host string, paths []string) (string, error) {
	var out bytes.Buffer
	args := append([]string{"backup", "--json", "--quiet", "--tag", tag, "--host", host, "--exclude", ".*.tmp"}, paths...)
	err := restic(ctx, &out, args...)
	if err != nil && code(err) != incomplete {
		return "", err
	}
	id := ""
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Type     string `json:"message_type"`
			Snapshot string `json:"snapshot_id"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Type == "summary" {
			id = line.Snapshot
		}
	}
	if err != nil {
		if id != "" {
			err = errors.Join(err, restic(ctx, nil, "forget", id))
		}
		return "", err
	}
	if id == "" {
		return "", errors.New("restic says nothing of the snapshot that it made")
	}
	return id, nil
}

// dir is the directory of the snapshot that holds dumps, Secret and manifest.
func (s Snapshot) dir() (string, error) {
	p, ok := s.under(workDir)
	if !ok {
		return "", fmt.Errorf("snapshot %s is no backup of a studio: it holds %s", s.Short(), strings.Join(s.Paths, ", "))
	}
	return path.Clean(p), nil
}
