package node

import (
	"slices"
	"testing"
)

func TestMountsBelowComeInnermostFirst(t *testing.T) {
	info := `22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 254:0 /var/lib/ai-film/kubelet /var/lib/ai-film/kubelet rw - ext4 /dev/vda rw
31 30 0:40 / /var/lib/ai-film/kubelet/pods/a/volumes/x rw - tmpfs tmpfs rw
32 31 0:41 / /var/lib/ai-film/kubelet/pods/a/volumes/x/with\040blank rw - tmpfs tmpfs rw
33 22 0:42 / /var/lib/ai-film/kubelet-of-another rw - tmpfs tmpfs rw
34 22 0:43 / /home rw - tmpfs tmpfs rw
broken line
`
	got := mountsBelow(info, []string{"/var/lib/ai-film/kubelet/"})
	want := []string{"/var/lib/ai-film/kubelet/pods/a/volumes/x/with blank", "/var/lib/ai-film/kubelet/pods/a/volumes/x", "/var/lib/ai-film/kubelet"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
