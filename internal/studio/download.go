package studio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Download brings the film's video to a file. It is written beside the target
// and renamed when whole, checked against the size and SHA-256 that the studio
// tells; a broken connection is continued where it broke. tell, which may be
// nil, is called with the bytes there are and those there will be.
func (c *Client) Download(ctx context.Context, film *Film, target string, tell func(done, total int64)) error {
	if film.Video == nil {
		return fmt.Errorf("film %s has no video; it is %s", film.ID, film.State)
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()

	d := &download{file: file, sum: sha256.New(), total: film.Video.Bytes, tell: tell}
	for {
		err := c.persist(ctx, func() error {
			before := d.done
			err := c.fetch(ctx, film.ID, d)
			if err != nil && d.done > before && passing(err) && ctx.Err() == nil {
				c.broken(err) // it moved, so patience begins anew
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if d.whole {
			break
		}
	}
	if want := film.Video.Bytes; want != 0 && want != d.done {
		return fmt.Errorf("the video has %d bytes, the studio cut %d", d.done, want)
	}
	if sum := hex.EncodeToString(d.sum.Sum(nil)); film.Video.SHA256 != "" && sum != film.Video.SHA256 {
		return fmt.Errorf("the video's SHA-256 is %s, the studio's was %s", sum, film.Video.SHA256)
	}
	// CreateTemp's mode is for secrets; a film is for showing.
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), target)
}

// download is a file that grows over as many requests as it takes.
type download struct {
	file        *os.File
	sum         hash.Hash
	etag        string
	done, total int64
	whole       bool
	tell        func(done, total int64)
}

func (d *download) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	d.sum.Write(p[:n])
	d.done += int64(n)
	if d.tell != nil {
		d.tell(d.done, max(d.total, d.done))
	}
	return n, err
}

func (d *download) restart() error {
	d.done = 0
	d.sum.Reset()
	_, err := d.file.Seek(0, io.SeekStart)
	return errors.Join(err, d.file.Truncate(0))
}

func (c *Client) fetch(ctx context.Context, id string, d *download) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := fmt.Errorf("nothing was heard for %s", c.silence())
	watch := time.AfterFunc(c.silence(), func() { cancel(silent) })
	defer watch.Stop()

	header := http.Header{}
	if d.done > 0 && d.etag == "" { // nothing vouches that the rest belongs to what is here
		if err := d.restart(); err != nil {
			return err
		}
	}
	if d.done > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(d.done, 10)+"-")
		header.Set("If-Range", d.etag) // another video by now: all of it, from the start
	}
	answer, err := c.send(ctx, "GET", filmPath(id)+"/video", nil, header)
	var problem *Problem
	if errors.As(err, &problem) && problem.Status == http.StatusRequestedRangeNotSatisfiable {
		d.whole = true // it broke just after the last byte; size and sum will tell
		return nil
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if d.done > 0 && answer.StatusCode != http.StatusPartialContent {
		if err := d.restart(); err != nil {
			return err
		}
	}
	// Only a strong tag can vouch for bytes.
	if d.etag = answer.Header.Get("ETag"); strings.HasPrefix(d.etag, "W/") {
		d.etag = ""
	}
	if d.total == 0 && answer.ContentLength > 0 {
		d.total = d.done + answer.ContentLength
	}
	_, err = io.Copy(d, &heard{answer.Body, func() { watch.Reset(c.silence()) }})
	var disk *os.PathError
	if errors.As(err, &disk) {
		return err
	}
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, silent) {
			err = silent
		}
		return &Unreachable{c.URL.String(), fmt.Errorf("the video broke off: %w", err)}
	}
	d.whole = true
	return nil
}

// heard is a reader that tells of every read.
type heard struct {
	io.Reader
	now func()
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.now()
	}
	return n, err
}
