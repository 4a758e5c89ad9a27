package program

import (
	"os"
	"strconv"
	"strings"

	"github.com/ai-film/ai-film/services/internal/serving"
)

// Memory is what the programs of one job may have, bytes: JOB_MEMORY_MIB, or else an equal share, for each of so many
// workers, of what the container has beyond the service's own reserve. It is 0, no limit, where neither is known.
func Memory(workers int, reserve int64) (int64, error) {
	mib, err := serving.EnvInt("JOB_MEMORY_MIB", 0, 64, 1<<20)
	if err != nil || mib > 0 {
		return int64(mib) << 20, err
	}
	if has := container(); has > 0 {
		return max(has-reserve, 64<<20) / int64(workers), nil
	}
	return 0, nil
}

// container is the memory limit of the container this process is in, bytes, as the kernel tells it there; 0 for none.
func container() int64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// Without a limit the first says "max", the second a number beyond any machine's memory.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n < 1<<50 {
			return n
		}
	}
	return 0
}
