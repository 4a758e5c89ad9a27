package wire

import (
	"context"
	"errors"
	"io"
	"time"
)

// WhileMoving is a context that ends when nothing moved for idle: a large file may take its time, a stuck one may not.
// copy copies and shows that something moves.
func WhileMoving(parent context.Context, idle time.Duration) (ctx context.Context, copy func(io.Writer, io.Reader) error, cancel context.CancelFunc) {
	ctx, stop := context.WithCancelCause(parent)
	timer := time.AfterFunc(idle, func() { stop(errors.New("nothing moved for " + idle.String())) })
	copy = func(w io.Writer, r io.Reader) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{reader(func(b []byte) (int, error) {
			n, err := r.Read(b)
			if n > 0 {
				timer.Reset(idle)
			}
			return n, err
		})}, make([]byte, 64<<10))
		return err
	}
	return ctx, copy, func() { timer.Stop(); stop(nil) }
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }
