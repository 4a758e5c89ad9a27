package verify

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"
)

// Watch calls again whenever a file below one of the paths has changed, until
// the context ends. It looks every interval: a chart has few files, and looking
// works on every file system.
func Watch(ctx context.Context, interval time.Duration, again func(), paths ...string) {
	before := fingerprint(paths)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := fingerprint(paths); now != before {
			before = now
			again()
		}
	}
}

type state struct {
	files  int
	size   int64
	newest int64
}

func fingerprint(paths []string) (s state) {
	for _, root := range paths {
		_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // a file that is being replaced is seen the next time
			}
			if info, err := d.Info(); err == nil {
				s.files++
				s.size += info.Size()
				s.newest = max(s.newest, info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return s
}
