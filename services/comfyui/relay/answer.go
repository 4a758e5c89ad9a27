package relay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// What a server may say at once, bytes. A server is another program, perhaps broken or somebody else's: what it answers
// is read as a stream, so that nothing is held but what is kept.
const (
	answerLimit  = 64 << 20 // of a whole answer
	outputsLimit = 1 << 20  // of a prompt's outputs, and of its meta
	statusLimit  = 4 << 20  // of its status, which quotes the inputs of a node that failed
	queueLimit   = 10000    // prompts in its queue
)

var errTooLong = errors.New("a value is longer than is kept")

// scanner reads JSON from a stream, value by value.
type scanner struct{ r *bufio.Reader }

func newScanner(r io.Reader) *scanner { return &scanner{bufio.NewReaderSize(r, 16<<10)} }

// peek is the next byte that is no white space.
func (s *scanner) peek() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, s.r.UnreadByte()
		}
	}
}

// expect reads one of the bytes wanted.
func (s *scanner) expect(want string) (byte, error) {
	c, err := s.peek()
	if err != nil {
		return 0, err
	}
	for i := range len(want) {
		if c == want[i] {
			_, err = s.r.ReadByte()
			return c, err
		}
	}
	return 0, fmt.Errorf("%q where one of %q was expected", c, want)
}

// skip reads a value and keeps nothing of it; it doesn't tell whether the inside of an object or a list is JSON.
func (s *scanner) skip() error {
	_, err := s.read(-1)
	return err
}

// value reads a value of at most limit bytes; a longer one is read to its end, too, and errTooLong.
func (s *scanner) value(limit int) (json.RawMessage, error) {
	raw, err := s.read(limit)
	if err == nil && !json.Valid(raw) {
		err = errors.New("what is not JSON")
	}
	return raw, err
}

func (s *scanner) read(limit int) (json.RawMessage, error) {
	c, err := s.peek()
	if err != nil {
		return nil, err
	}
	var kept []byte
	var long, quoted, escaped bool
	depth := 0
	for {
		c, err = s.r.ReadByte()
		if err != nil {
			if err == io.EOF && depth == 0 && !quoted && len(kept) > 0 { // a number at the end of the stream
				return kept, nil
			}
			return nil, io.ErrUnexpectedEOF
		}
		bare := depth == 0 && !quoted
		if bare && (c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t') { // after a literal
			err = s.r.UnreadByte()
			break
		}
		if limit >= 0 && !long {
			if kept = append(kept, c); len(kept) > limit {
				kept, long = nil, true
			}
		} else if len(kept) == 0 {
			kept = []byte{c}
		}
		switch {
		case escaped:
			escaped = false
			continue
		case quoted && c == '\\':
			escaped = true
			continue
		case c == '"':
			quoted = !quoted
		case quoted:
			continue
		case c == '{' || c == '[':
			depth++
			continue
		case c == '}' || c == ']':
			depth--
		default:
			continue
		}
		if depth == 0 && !quoted {
			break
		}
	}
	if err == nil && long {
		return nil, errTooLong
	}
	return kept, err
}

// text reads a string of at most limit bytes.
func (s *scanner) text(limit int) (string, error) {
	raw, err := s.value(limit)
	if err != nil {
		return "", err
	}
	var text string
	return text, json.Unmarshal(raw, &text)
}

// object reads an object; each must read the value of its key.
func (s *scanner) object(each func(key string) error) error {
	return s.members("{", "}", func(int) error {
		key, err := s.text(1 << 10)
		if err == nil {
			_, err = s.expect(":")
		}
		if err != nil {
			return err
		}
		return each(key)
	})
}

// list reads a list; each must read its element number i.
func (s *scanner) list(each func(i int) error) error { return s.members("[", "]", each) }

func (s *scanner) members(open, end string, each func(i int) error) error {
	if _, err := s.expect(open); err != nil {
		return err
	}
	if c, err := s.peek(); err != nil {
		return err
	} else if c == end[0] {
		_, err = s.r.ReadByte()
		return err
	}
	for i := 0; ; i++ {
		if err := each(i); err != nil {
			return err
		}
		if c, err := s.expect("," + end); err != nil || c == end[0] {
			return err
		}
	}
}

// queued is one prompt in a server's queue.
type queued struct {
	id      string
	number  float64
	running bool
}

// readQueue reads GET /queue, whose tuples are [number, id, prompt, extra_data, outputs].
func readQueue(s *scanner) (all []queued, err error) {
	err = s.object(func(key string) error {
		if key != "queue_running" && key != "queue_pending" {
			return s.skip()
		}
		return s.list(func(int) error {
			one := queued{running: key == "queue_running"}
			err := s.list(func(i int) (err error) {
				switch i {
				case 0:
					var raw json.RawMessage
					if raw, err = s.value(64); err == nil {
						err = json.Unmarshal(raw, &one.number)
					}
				case 1:
					one.id, err = s.text(256)
				default:
					err = s.skip()
				}
				return err
			})
			if all = append(all, one); err == nil && len(all) > queueLimit {
				err = fmt.Errorf("more than %d prompts in a queue", queueLimit)
			}
			return err
		})
	})
	return all, err
}

// historyEntry is a finished prompt in a server's GET /history/{id}.
type historyEntry struct {
	Executed json.RawMessage // the ids of the output nodes, the fifth of the prompt's tuple
	record
}

// readHistory reads GET /history/{id}; the entry is nil while the prompt is not done. What is too long to be kept is
// left out, and the status says so.
func readHistory(s *scanner, id string) (entry *historyEntry, err error) {
	err = s.object(func(key string) error {
		if key != id {
			return s.skip()
		}
		entry = &historyEntry{}
		long := ""
		keep := func(what string, into *json.RawMessage, limit int) error {
			raw, err := s.value(limit)
			if errors.Is(err, errTooLong) {
				long, err = what, nil
			}
			*into = raw
			return err
		}
		err := s.object(func(key string) error {
			switch key {
			case "prompt":
				return s.list(func(i int) error {
					if i != 4 {
						return s.skip()
					}
					return keep("the list of its output nodes", &entry.Executed, outputsLimit)
				})
			case "outputs":
				return keep("outputs", &entry.Outputs, outputsLimit)
			case "status":
				return keep("status", &entry.Status, statusLimit)
			case "meta":
				return keep("meta", &entry.Meta, outputsLimit)
			}
			return s.skip()
		})
		if long != "" {
			entry.record = *failure(id, "OutcomeTooLarge", "The server's record of this prompt is too large: "+long+".")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return entry, nil
}

// inputs calls each for every text input of a graph that is at most 255 bytes long, without decoding the rest. It stops
// at what is no graph: the server says what is wrong with it.
func inputs(graph json.RawMessage, each func(name, value string)) {
	s := newScanner(bytes.NewReader(graph))
	s.object(func(string) error {
		if c, err := s.peek(); err != nil || c != '{' {
			return orSkip(s, err)
		}
		return s.object(func(key string) error {
			if c, err := s.peek(); err != nil || key != "inputs" || c != '{' {
				return orSkip(s, err)
			}
			return s.object(func(name string) error {
				c, err := s.peek()
				if err != nil || c != '"' {
					return orSkip(s, err)
				}
				raw, err := s.value(512)
				if errors.Is(err, errTooLong) {
					return nil
				}
				var value string
				if err == nil && json.Unmarshal(raw, &value) == nil && len(value) <= 255 {
					each(name, value)
				}
				return err
			})
		})
	})
}

func orSkip(s *scanner, err error) error {
	if err != nil {
		return err
	}
	return s.skip()
}
