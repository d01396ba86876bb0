package ramdir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/corralcache/corral/internal/ramdir"
)

func TestADirectoryEndsWithItsTest(t *testing.T) {
	for _, room := range []int64{1, 1 << 62 / 5} { // which no memory has
		var dir string
		t.Run("one", func(t *testing.T) {
			dir = ramdir.Dir(t, room)
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("with room for %d bytes: %s is still there: %v", room, dir, err)
		}
	}
}
