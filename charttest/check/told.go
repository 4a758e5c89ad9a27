package check

// told is what the user said in so many words.
type told struct {
	texts      map[string]bool // strings in the values
	containers map[string]bool // containers that stand in the values as a whole
}

func (ix *index) told() *told {
	if ix.tolds != nil {
		return ix.tolds
	}
	t := &told{texts: map[string]bool{}, containers: map[string]bool{}}
	t.values(ix.render.Values())
	ix.tolds = t
	return t
}

func (t *told) values(v any) {
	switch v := v.(type) {
	case string:
		t.texts[v] = true
	case []any:
		for _, item := range v {
			t.values(item)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok && v["image"] != nil {
			t.containers[name] = true
		}
		for _, item := range v {
			t.values(item)
		}
	}
}
