package snapshots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Restore is what to restore, and what may be lost by it.
type Restore struct {
	Snapshot  string // an id, or latest
	Overwrite bool   // films that are there are lost
	// Secret takes what is kept of the backup's Secret: the page's password and the key of its sessions. The databases' passwords
	// are not, since the roles of this home have their own. Nil where the Secret is the operator's.
	Secret func(ctx context.Context, keys map[string][]byte) error
	// Restart lets the services that use the databases start anew: what they bring a database's tables up to date with, they do at their
	// start, and a backup may be of an older version. Nil for none.
	Restart func(ctx context.Context) error
}

// kept are the keys that people and browsers hold the other half of.
var kept = []string{"admin-password", "secret-key"}

// progress is what a restore leaves on the volume of videos, so that one that was broken off goes on and one that is through is
// not done again.
type progress struct {
	Snapshot string    `json:"snapshot"`
	Done     bool      `json:"done"`
	Time     time.Time `json:"time"`
}

// Restore puts a backup in place of what the studio has. All of it is read, decrypted and checked first, the files to where they
// will be renamed from, so that a backup that is damaged changes nothing. Broken off, it is to be called again.
func (s Studio) Restore(ctx context.Context, r Restore) error {
	was, err := s.progress()
	if err != nil {
		return err
	}
	if was.Done && (r.Snapshot == "latest" || strings.HasPrefix(was.Snapshot, r.Snapshot)) {
		s.Log.Info("restored already; nothing is changed", "snapshot", was.Snapshot, "at", was.Time)
		return nil
	}
	if was.Snapshot != "" && !was.Done && r.Snapshot == "latest" {
		r.Snapshot = was.Snapshot // which was the latest then
	}
	from, err := find(ctx, r.Snapshot)
	if err != nil {
		return err
	}
	if goesOn := was.Snapshot == from.ID && !was.Done; !goesOn && !r.Overwrite {
		if err := s.nothingIsLost(ctx); err != nil {
			return err
		}
	}
	defer os.RemoveAll(readDir())
	m, err := s.read(ctx, from)
	if err != nil {
		return fmt.Errorf("the backup %s is damaged, and nothing was changed: %w", from.Short(), err)
	}
	for _, volume := range volumes {
		if err := s.stage(ctx, from, volume, m); err != nil {
			return fmt.Errorf("the backup %s could not be read, and nothing was changed: %w", from.Short(), err)
		}
	}
	s.Log.Info("read and checked; now it takes the place of what is there", "snapshot", from.Short(), "of", m.Studio, "made", m.Time)
	if err := s.setProgress(progress{Snapshot: from.ID, Time: time.Now().UTC()}); err != nil {
		return err
	}
	for _, volume := range volumes {
		if err := s.swap(volume); err != nil {
			return err
		}
	}
	for _, d := range s.Databases {
		if err := d.restore(ctx, filepath.Join(readDir(), d.Name+".dump")); err != nil {
			return fmt.Errorf("%w. Run the restore again when it is mended: it goes on", err)
		}
		s.Log.Info("database restored", "database", d.Name)
	}
	if r.Secret != nil && m.Secret != (Part{}) {
		if err := secretTo(ctx, filepath.Join(readDir(), "secret.json"), r.Secret); err != nil {
			return err
		}
	}
	if r.Restart != nil {
		if err := r.Restart(ctx); err != nil {
			return fmt.Errorf("everything is restored, and the services could not be restarted: %w", err)
		}
	}
	for _, volume := range volumes {
		if err := os.RemoveAll(s.at(volume, "before")); err != nil {
			return err
		}
	}
	s.Log.Info("restored", "snapshot", from.Short(), "films", m.Films, "files", m.Files)
	return s.setProgress(progress{Snapshot: from.ID, Done: true, Time: time.Now().UTC()})
}

func secretTo(ctx context.Context, file string, put func(context.Context, map[string][]byte) error) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all map[string][]byte
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("the backup's Secret: %w", err)
	}
	keys := map[string][]byte{}
	for _, key := range kept {
		if all[key] != nil {
			keys[key] = all[key]
		}
	}
	if err := put(ctx, keys); err != nil {
		return fmt.Errorf("the Secret: %w", err)
	}
	return nil
}

// find is the backup that is meant. The latest must be of one studio: which of several is not for a program to say.
func find(ctx context.Context, id string) (Snapshot, error) {
	all, err := Snapshots(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	var list strings.Builder
	studios := map[string]bool{}
	var found []Snapshot
	for _, one := range all {
		fmt.Fprintf(&list, "\n  %s  %s  %s", one.Short(), one.Time.UTC().Format(time.RFC3339), one.Host)
		studios[one.Host] = true
		if id == "latest" || id != "" && strings.HasPrefix(one.ID, id) {
			found = append(found, one)
		}
	}
	switch {
	case len(all) == 0:
		return Snapshot{}, errors.New("the repository has no backup of a studio")
	case id == "latest" && len(studios) > 1:
		return Snapshot{}, fmt.Errorf("the repository has backups of several studios; name the one to restore:%s", list.String())
	case id == "latest":
		return found[len(found)-1], nil
	case len(found) != 1:
		return Snapshot{}, fmt.Errorf("%d backups begin with %q; there are:%s", len(found), id, list.String())
	}
	return found[0], nil
}

// nothingIsLost refuses where there is something that a restore would take away.
func (s Studio) nothingIsLost(ctx context.Context) error {
	films, err := s.films(ctx)
	if err != nil {
		return err
	}
	files := 0
	for _, volume := range volumes {
		t, err := tree(filepath.Join(s.DataDir, volume, "films"))
		if err != nil {
			return err
		}
		files += t.Files
	}
	if films > 0 || files > 0 {
		return fmt.Errorf("this studio has %d films and %d files of films, which a restore would replace. Restore into an empty studio, or name the backup by its id and say that they may be lost: backup.restore.overwrite=true", films, files)
	}
	return nil
}

func (s Studio) at(volume, what string) string {
	return filepath.Join(s.DataDir, volume, restoring+"-"+what)
}

func (s Studio) progress() (p progress, err error) {
	data, err := os.ReadFile(s.at("videos", "progress.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	return p, err
}

func (s Studio) setProgress(p progress) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := s.at("videos", "progress.json")
	if err := os.WriteFile(file+".tmp", append(data, '\n'), 0o660); err != nil {
		return err
	}
	return os.Rename(file+".tmp", file)
}

// stage brings a volume's files beside their place. restic checks every byte by its checksum, and leaves what an earlier
// attempt brought.
func (s Studio) stage(ctx context.Context, from Snapshot, volume string, m Manifest) error {
	to := s.at(volume, "new")
	if err := os.MkdirAll(to, 0o770); err != nil {
		return err
	}
	at, ok := from.under(volume + "/films")
	if !ok {
		if m.Files[volume].Files > 0 {
			return fmt.Errorf("the manifest knows of %d files on the volume %s, and the snapshot has none", m.Files[volume].Files, volume)
		}
		return nil
	}
	if err := restic(ctx, nil, "restore", "--quiet", from.ID+":"+at, "--target", to, "--verify"); err != nil {
		return err
	}
	got, err := tree(to)
	if err != nil {
		return err
	}
	// Films that were at work meanwhile may have brought more than was counted before, and deleted ones less.
	s.Log.Info("files read", "volume", volume, "files", got.Files, "bytes", got.Bytes, "counted", m.Files[volume])
	return nil
}

// swap puts the staged files in place of those that are there. What was swapped already has nothing staged.
func (s Studio) swap(volume string) error {
	place, staged, before := filepath.Join(s.DataDir, volume, "films"), s.at(volume, "new"), s.at(volume, "before")
	if err := os.RemoveAll(before); err != nil {
		return err
	}
	if err := os.Rename(place, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(staged, place)
}
