package main

import "runtime"

// Memory is what a long run of renders leaves behind.
type Memory struct {
	Renders     int    `json:"renders"`
	HeapAtTenth uint64 `json:"heap_bytes_after_a_tenth"`
	HeapAtEnd   uint64 `json:"heap_bytes_at_end"`
}

func (b *bench) memory(n int) (*Memory, error) {
	if n == 0 {
		return nil, nil
	}
	render := b.charttest(true)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	m := &Memory{Renders: n}
	for i := range n {
		if i == n/10 {
			m.HeapAtTenth = heap()
		}
		if err := render(); err != nil {
			return nil, err
		}
	}
	m.HeapAtEnd = heap()
	runtime.KeepAlive(render) // and with it the chart and what it remembers
	return m, nil
}
