package engine

import (
	"strings"
	"sync"
	"sync/atomic"

	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"

	"github.com/ai-film/ai-film/charttest/internal/plainyaml"
)

// Document is a document that some template wrote, read once however many
// renders write it again.
type Document struct {
	Text string
	// Node is the document parsed, or nil if it takes a general parser.
	Node *plainyaml.Node
	// Decoded is for the caller to keep what it made of the document. It is
	// called at most once.
	decode  sync.Once
	decoded any

	read sync.Once
	head head
	err  error // why Helm would refuse it
}

// Decoded returns what decode returned when it was first called for this
// document. It is shared by all renders that contain the document.
func (d *Document) Decoded(decode func(*Document) any) any {
	d.read.Do(d.parse)
	d.decode.Do(func() { d.decoded = decode(d) })
	return d.decoded
}

// documents remembers the documents of a chart's renders by their text: other
// values, and still more another version of Kubernetes, leave most documents
// as they are.
type documents struct {
	helm   Helm
	byText generations[*Document]
	most   atomic.Int64 // bytes that a render wrote
}

// documentBytes bounds the text of a generation, which has room for what a render
// writes at least. Parsed and decoded it takes ten to twenty times as much.
const documentBytes = 1 << 20

// wrote notes what a render wrote.
func (d *documents) wrote(out []string) {
	var n int64
	for _, text := range out {
		n += int64(len(text))
	}
	for most := d.most.Load(); n > most && !d.most.CompareAndSwap(most, n); most = d.most.Load() {
	}
}

func (d *documents) get(text string) *Document {
	doc := d.byText.get(text, max(documentBytes, int(d.most.Load())), func(text string) *Document { return &Document{Text: text} })
	doc.read.Do(doc.parse)
	return doc
}

// ahead reads documents while the templates after theirs still execute: it
// returns where their output goes. Whoever asks for a document before it was
// reached reads it himself.
func (d *documents) ahead(decode func(*Document) any) chan<- string {
	outputs := make(chan string, 64)
	go func() {
		for out := range outputs {
			for _, part := range d.helm.split(out) {
				if doc := d.get(part.text); doc.err == nil && decode != nil {
					doc.Decoded(decode)
				}
			}
		}
	}()
	return outputs
}

func (d *Document) parse() {
	d.Node = plainyaml.Parse(d.Text + "\n")
	var ok bool
	if d.head, ok = readHead(d.Node); ok {
		return
	}
	var simple releaseutil.SimpleHead
	if d.err = yaml.Unmarshal([]byte(d.Text), &simple); d.err != nil {
		return
	}
	d.head.kind = simple.Kind
	if simple.Metadata != nil {
		d.head.name, d.head.annotations = simple.Metadata.Name, simple.Metadata.Annotations
	}
}

// head is what Helm wants to know of a document.
type head struct {
	kind, name  string
	annotations map[string]string
}

// readHead reads the head of a plain document. It is not ok if there is
// anything in it that encoding/json would see differently: other types, or
// names in another case, which it takes for the same.
func readHead(n *plainyaml.Node) (h head, ok bool) {
	if n == nil || n.Kind != plainyaml.Map {
		return h, false
	}
	text := func(n *plainyaml.Node, to *string) bool {
		*to = n.Text
		return n.Kind == plainyaml.String
	}
	for _, p := range n.Pairs {
		switch {
		case p.Key == "kind":
			if !text(p.Value, &h.kind) {
				return h, false
			}
		case p.Key == "apiVersion":
			if p.Value.Kind != plainyaml.String {
				return h, false
			}
		case p.Key == "metadata":
			if !h.metadata(p.Value) {
				return h, false
			}
		case strings.EqualFold(p.Key, "kind"), strings.EqualFold(p.Key, "apiVersion"), strings.EqualFold(p.Key, "metadata"):
			return h, false
		}
	}
	return h, true
}

func (h *head) metadata(n *plainyaml.Node) bool {
	if n.Kind == plainyaml.Null {
		return true
	}
	if n.Kind != plainyaml.Map {
		return false
	}
	for _, p := range n.Pairs {
		switch {
		case p.Key == "name":
			if h.name = p.Value.Text; p.Value.Kind != plainyaml.String {
				return false
			}
		case p.Key == "annotations" && p.Value.Kind == plainyaml.Map:
			h.annotations = make(map[string]string, len(p.Value.Pairs))
			for _, a := range p.Value.Pairs {
				if a.Value.Kind != plainyaml.String {
					return false
				}
				h.annotations[a.Key] = a.Value.Text
			}
		case strings.EqualFold(p.Key, "name"), strings.EqualFold(p.Key, "annotations"):
			return false
		}
	}
	return true
}

// SplitDocuments splits a manifest into its documents, as Helm does, in order.
func SplitDocuments(helm Helm, manifest string) []string {
	var docs []string
	for _, d := range helm.split(manifest) {
		docs = append(docs, d.text)
	}
	return docs
}
