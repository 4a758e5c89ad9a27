package snapshots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	workDir   = "ai-film-backup" // dumps, Secret and manifest, in the snapshot
	restoring = ".ai-film-restore"
	format    = 1 // of the manifest
)

// volumes hold films' files, below films.
var volumes = []string{"images", "videos"}

// Studio is a studio as this pod sees it.
type Studio struct {
	Name      string     // NAMESPACE/RELEASE
	Version   string     // of the chart's images
	Databases []Database // studio first
	DataDir   string     // with the volumes images and videos
	SecretDir string     // the Secret's keys as files; "" for none
	Log       *slog.Logger
}

// Manifest is what a backup says of itself.
type Manifest struct {
	Format    int             `json:"format"`
	Studio    string          `json:"studio"`
	Version   string          `json:"version"`
	Time      time.Time       `json:"time"`
	Server    string          `json:"server"` // PostgreSQL's version
	Films     int             `json:"films"`
	Files     map[string]Tree `json:"files"` // by volume
	Dumps     map[string]Part `json:"dumps"` // by database
	Secret    Part            `json:"secret,omitzero"`
	DataPaths []string        `json:"data_paths"` // of the volumes in the snapshot
}

// Tree is how much a volume holds; what it holds, restic keeps by checksums of its own.
type Tree struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Part is a file of the backup's own.
type Part struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Keep is which backups stay.
type Keep struct{ Last, Daily, Weekly, Monthly int }

// Await returns when all databases answer, or says which one doesn't after so long: beside an install they come up at the same
// time as a restore.
func (s Studio) Await(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, d := range s.Databases {
		for {
			_, err := d.ask(ctx, "SELECT 1")
			if err == nil {
				break
			}
			s.Log.Info("waiting for the database", "database", d.Name, "error", err)
			select {
			case <-ctx.Done():
				return err
			case <-time.After(3 * time.Second):
			}
		}
	}
	return nil
}

// Backup makes a backup, reads back what it says of itself, lets those go that Keep doesn't name, and checks the
// repository with that many percent of its data. It returns the snapshot's id.
func (s Studio) Backup(ctx context.Context, keep Keep, percent int) (string, error) {
	if err := open(ctx, true); err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), workDir)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	defer os.RemoveAll(readDir())
	var id string
	var manifest Manifest
	for attempt := 1; ; attempt++ {
		var err error
		if manifest, err = s.write(ctx, dir); err != nil {
			return "", err
		}
		id, err = save(ctx, s.Name, append([]string{dir}, manifest.DataPaths...))
		if err == nil {
			break
		}
		// A film that is deleted meanwhile takes files away under restic's eyes; the next look is quick.
		if code(err) != incomplete || attempt == 3 {
			return "", err
		}
		s.Log.Warn("some files went while they were read; once more", "error", err)
	}
	made := Snapshot{ID: id, Paths: append([]string{dir}, manifest.DataPaths...)}
	if _, err := s.read(ctx, made); err != nil {
		return "", fmt.Errorf("the backup %s can't be read back: %w", made.Short(), err)
	}
	s.Log.Info("backed up", "snapshot", made.Short(), "films", manifest.Films, "files", manifest.Files, "dumps", manifest.Dumps)

	args := []string{"forget", "--tag", tag, "--host", s.Name, "--group-by", "host,tags", "--prune", "--quiet"}
	for _, k := range []struct {
		name  string
		count int
	}{{"last", keep.Last}, {"daily", keep.Daily}, {"weekly", keep.Weekly}, {"monthly", keep.Monthly}} {
		if k.count > 0 {
			args = append(args, "--keep-"+k.name, strconv.Itoa(k.count))
		}
	}
	if keep == (Keep{}) {
		return "", errors.New("keep names no backup that stays")
	}
	if err := restic(ctx, nil, args...); err != nil {
		return "", fmt.Errorf("old backups: %w", err)
	}
	if err := restic(ctx, nil, "check", "--quiet", fmt.Sprintf("--read-data-subset=%d%%", percent)); err != nil {
		return "", fmt.Errorf("the repository is damaged; keep it as it is and see restic's documentation on troubleshooting: %w", err)
	}
	return id, nil
}

// write makes what a backup holds beside films' files: dumps, Secret and manifest.
func (s Studio) write(ctx context.Context, dir string) (Manifest, error) {
	m := Manifest{Format: format, Studio: s.Name, Version: s.Version, Time: time.Now().UTC(), Dumps: map[string]Part{}, Files: map[string]Tree{}}
	var err error
	if m.Server, err = s.Databases[0].ask(ctx, "SHOW server_version"); err != nil {
		return m, err
	}
	for _, d := range s.Databases {
		file := filepath.Join(dir, d.Name+".dump")
		if err := d.dump(ctx, file); err != nil {
			return m, err
		}
		if m.Dumps[d.Name], err = sum(file); err != nil {
			return m, err
		}
	}
	if m.Films, err = s.films(ctx); err != nil {
		return m, err
	}
	for _, volume := range volumes {
		at := filepath.Join(s.DataDir, volume, "films")
		if m.Files[volume], err = tree(at); err != nil {
			return m, err
		}
		if _, err := os.Stat(at); err == nil {
			m.DataPaths = append(m.DataPaths, at)
		}
	}
	if s.SecretDir != "" {
		keys, err := s.secret()
		if err != nil {
			return m, err
		}
		data, err := json.Marshal(keys)
		if err != nil {
			return m, err
		}
		file := filepath.Join(dir, "secret.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return m, err
		}
		if m.Secret, err = sum(file); err != nil {
			return m, err
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	return m, os.WriteFile(filepath.Join(dir, "manifest.json"), data, 0o600)
}

// read brings manifest, dumps and Secret of a snapshot into the scratch space, at readDir, and holds them to the manifest.
func (s Studio) read(ctx context.Context, from Snapshot) (Manifest, error) {
	var m Manifest
	at, err := from.dir()
	if err != nil {
		return m, err
	}
	if err := os.RemoveAll(readDir()); err != nil {
		return m, err
	}
	if err := restic(ctx, nil, "restore", "--quiet", from.ID+":"+at, "--target", readDir()); err != nil {
		return m, err
	}
	text, err := os.ReadFile(filepath.Join(readDir(), "manifest.json"))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	if m.Format != format {
		return m, fmt.Errorf("the backup is of format %d, made by version %s; this program knows %d. Restore with the image of that version", m.Format, m.Version, format)
	}
	parts := map[string]Part{}
	for _, d := range s.Databases {
		part, ok := m.Dumps[d.Name]
		if !ok {
			return m, fmt.Errorf("it has no dump of the database %s", d.Name)
		}
		parts[d.Name+".dump"] = part
	}
	if m.Secret != (Part{}) {
		parts["secret.json"] = m.Secret
	}
	for name, want := range parts {
		got, err := sum(filepath.Join(readDir(), name))
		if err != nil {
			return m, err
		}
		if got != want {
			return m, fmt.Errorf("%s is not what the manifest says: %d bytes with the SHA-256 %s, want %d with %s", name, got.Bytes, got.SHA256, want.Bytes, want.SHA256)
		}
	}
	return m, nil
}

func readDir() string { return filepath.Join(os.TempDir(), workDir+"-read") }

// films is how many films the studio's database has; 0 where it has no table of them yet.
func (s Studio) films(ctx context.Context) (int, error) {
	there, err := s.Databases[0].ask(ctx, "SELECT to_regclass('public.film') IS NOT NULL")
	if err != nil || there != "t" {
		return 0, err
	}
	count, err := s.Databases[0].ask(ctx, "SELECT count(*) FROM film")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(count)
}

// secret is the Secret's content, as the kubelet mounts it.
func (s Studio) secret() (map[string][]byte, error) {
	entries, err := os.ReadDir(s.SecretDir)
	if err != nil {
		return nil, err
	}
	keys := map[string][]byte{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // the kubelet's links
			continue
		}
		if keys[e.Name()], err = os.ReadFile(filepath.Join(s.SecretDir, e.Name())); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key of the Secret", s.SecretDir)
	}
	return keys, nil
}

func sum(file string) (Part, error) {
	f, err := os.Open(file)
	if err != nil {
		return Part{}, err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	return Part{n, hex.EncodeToString(hash.Sum(nil))}, err
}

func tree(dir string) (t Tree, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile, or not yet there
			return nil
		}
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(entry.Name()) == ".tmp" {
			return err
		}
		if info, err := entry.Info(); err == nil {
			t.Files++
			t.Bytes += info.Size()
		}
		return nil
	})
	return t, err
}
