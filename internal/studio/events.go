package studio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Follow calls tell with every event of the film until the film has ended; it
// returns the film as it then is. A broken connection is resumed after the last
// event seen; states are told again then, so tell must bear repetition. When
// nothing is heard of the studio for longer than Patience, the last error is
// returned.
func (c *Client) Follow(ctx context.Context, id string, tell func(Event)) (*Film, error) {
	last, state := "", ""
	for {
		err := c.persist(ctx, func() error {
			heard := false
			err := c.listen(ctx, id, &last, func() { heard = true }, func(event Event) {
				if event.Stage == "film" {
					state = event.State
				}
				tell(event)
			})
			if err != nil && heard && passing(err) && ctx.Err() == nil {
				// It spoke until now, so patience begins anew.
				c.broken(err)
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if state == Deleted {
			return &Film{ID: id, State: Deleted}, nil
		}
		if Over(state) {
			var film *Film
			err := c.persist(ctx, func() (err error) { film, err = c.Get(ctx, id); return err })
			if err != nil || Over(film.State) {
				return film, err
			}
		}
		if !sleep(ctx, 250*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// listen reads one stream of events until the film's end; a stream that ends
// without it is an Unreachable. heard is called with every line.
func (c *Client) listen(ctx context.Context, id string, last *string, heard func(), tell func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A connection whose other end is gone without a word would be read for ever.
	silent := fmt.Errorf("nothing was heard for %s", c.silence())
	watch := time.AfterFunc(c.silence(), func() { cancel(silent) })
	defer watch.Stop()

	header := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		header.Set("Last-Event-Id", *last)
	}
	answer, err := c.send(ctx, "GET", filmPath(id)+"/events", nil, header)
	if err == nil {
		defer answer.Body.Close()
		if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
			return fmt.Errorf("the studio sent %q where events were asked for", kind)
		}
		err = parse(answer.Body, func() { heard(); watch.Reset(c.silence()) }, func(event Event) {
			if event.ID != "" {
				*last = event.ID
			}
			tell(event)
		})
		if err != nil {
			err = &Unreachable{c.URL.String(), fmt.Errorf("the stream of events broke off: %w", err)}
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), silent) {
		err = &Unreachable{c.URL.String(), silent}
	}
	return err
}

// parse reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html); heard is
// called with every line, comments included. The error is nil when the stream
// ended with the film's end.
func parse(stream io.Reader, heard func(), tell func(Event)) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	id, data, ended := "", "", false
	for lines.Scan() {
		heard()
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			var event Event
			if data != "" && json.Unmarshal([]byte(data), &event) == nil {
				event.ID = id
				if event.Stage == "film" {
					ended = Over(event.State)
				}
				tell(event)
			}
			id, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "data":
			data += value
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !ended {
		return io.ErrUnexpectedEOF
	}
	return nil
}
