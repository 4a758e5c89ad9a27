package check

// told is what the user said in so many words.
type told struct {
	texts      map[string]bool // strings in the values
	containers map[string]bool // containers that stand in the values as a whole
	existing   existing        // names of what is there already
}

func (ix *index) told() *told {
	if ix.tolds != nil {
		return ix.tolds
	}
	t := &told{texts: map[string]bool{}, containers: map[string]bool{}, existing: existing{names: map[string]bool{}}}
	t.values("", ix.render.Values())
	ix.tolds = t
	return t
}

func (t *told) values(path string, v any) {
	switch v := v.(type) {
	case string:
		t.texts[v] = true
		t.existing.add(path, v)
	case []any:
		for _, item := range v {
			t.values(path, item)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok && v["image"] != nil {
			t.containers[name] = true
		}
		for key, item := range v {
			t.values(join(path, key), item)
		}
	}
}
