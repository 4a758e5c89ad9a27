package snapshots

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ai-film/ai-film/services/internal/postgrestest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}

// home is databases, volumes and a Secret of their own.
type home struct {
	Studio
	t     *testing.T
	owner string // the role of the studio's database
}

// homes counts them; servers are the tests' PostgreSQL servers, one each.
var (
	homes   int
	servers = map[string]string{}
)

func shared(t *testing.T) string {
	t.Helper()
	if servers[t.Name()] == "" {
		servers[t.Name()] = postgrestest.Start(t)
	}
	return servers[t.Name()]
}

// newHome is one with empty databases, as the chart makes them: a role each that owns its database and nothing else. The names have
// the home's number before them, since homes of one test share a server.
func newHome(t *testing.T, name string) *home {
	t.Helper()
	url := shared(t)
	admin, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer admin.Close(context.Background())
	homes++
	h := &home{t: t, owner: fmt.Sprintf("h%d_studio", homes), Studio: Studio{Name: name, Version: "0.1.0", DataDir: t.TempDir(), SecretDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	for _, database := range []string{"studio", "langgraph", "dagster"} {
		own := fmt.Sprintf("h%d_%s", homes, database)
		for _, statement := range []string{"CREATE ROLE %[1]s LOGIN", "CREATE DATABASE %[1]s OWNER %[1]s", "REVOKE CONNECT ON DATABASE %[1]s FROM PUBLIC"} {
			_, err := admin.Exec(t.Context(), fmt.Sprintf(statement, own))
			must(t, err)
		}
		h.Databases = append(h.Databases, Database{database, strings.Replace(strings.Replace(url, "studio@", own+"@", 1), "/postgres?", "/"+own+"?", 1)})
	}
	for _, volume := range volumes {
		must(t, os.Mkdir(filepath.Join(h.DataDir, volume), 0o755))
	}
	for key, value := range map[string]string{"admin-password": "of " + name, "secret-key": "sessions of " + name, "redis-password": "another"} {
		must(t, os.WriteFile(filepath.Join(h.SecretDir, key), []byte(value), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(h.SecretDir, "..2026_01_01"), 0o755)) // as the kubelet has it
	return h
}

func (h *home) exec(database int, sql string) {
	h.t.Helper()
	c, err := pgx.Connect(h.t.Context(), h.Databases[database].URL)
	must(h.t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(h.t.Context(), sql)
	must(h.t, err)
}

func (h *home) ask(database int, sql string) (value string) {
	h.t.Helper()
	c, err := pgx.Connect(h.t.Context(), h.Databases[database].URL)
	must(h.t, err)
	defer c.Close(context.Background())
	must(h.t, c.QueryRow(h.t.Context(), sql).Scan(&value))
	return value
}

func (h *home) file(path, content string) {
	h.t.Helper()
	at := filepath.Join(h.DataDir, path)
	must(h.t, os.MkdirAll(filepath.Dir(at), 0o755))
	must(h.t, os.WriteFile(at, []byte(content), 0o644))
}

// works makes a studio with a film, tables of all the kinds that the services have, and files.
func (h *home) works() {
	h.exec(0, `CREATE TYPE state AS ENUM ('new', 'done'); CREATE DOMAIN words AS text;
		CREATE TABLE film (id text PRIMARY KEY, state state NOT NULL, brief words, number serial); CREATE INDEX ON film (state);
		CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
		CREATE TRIGGER touch BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION touched();
		CREATE TABLE shot (film text REFERENCES film ON DELETE CASCADE, id text); CREATE VIEW ended AS SELECT * FROM film WHERE state = 'done';
		CREATE SCHEMA comfyui; CREATE TABLE comfyui.prompt (id text);
		INSERT INTO film VALUES ('f1', 'done', 'a keeper’s lamp'); INSERT INTO shot VALUES ('f1', 's01-01'); INSERT INTO comfyui.prompt VALUES ('p1')`)
	h.exec(1, `CREATE TABLE checkpoints (id text, blob bytea); INSERT INTO checkpoints VALUES ('f1', '\x00ff')`)
	h.exec(2, `CREATE TABLE runs (id text); INSERT INTO runs SELECT 'r' || n FROM generate_series(1, 1000) n`)
	h.file("videos/films/f1/film.mp4", strings.Repeat("moving pictures ", 1<<16))
	h.file("videos/films/f1/.film.mp4.0a.tmp", "half")
	h.file("images/films/f1/s01-01/still.png", "a still")
	h.file("images/lost+found/x", "no film's")
}

// holds says whether a home has what works made.
func (h *home) holds(films string) {
	h.t.Helper()
	for sql, want := range map[string]string{
		"SELECT string_agg(id || state || brief || number, ' ' ORDER BY id) FROM film": films, "SELECT count(*)::text FROM ended": "1",
		"SELECT id FROM shot": "s01-01", "SELECT id FROM comfyui.prompt": "p1", "SELECT nextval('film_number_seq')::text": "2",
		"SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname IN ('public', 'comfyui')": h.owner,
		"SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'":                            "pg_database_owner",
	} {
		if got := h.ask(0, sql); got != want {
			h.t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := h.ask(1, "SELECT encode(blob, 'hex') FROM checkpoints"); got != "00ff" {
		h.t.Error(got)
	}
	if got := h.ask(2, "SELECT count(*)::text FROM runs"); got != "1000" {
		h.t.Error(got)
	}
	for path, want := range map[string]string{"videos/films/f1/film.mp4": strings.Repeat("moving pictures ", 1<<16), "images/films/f1/s01-01/still.png": "a still"} {
		got, err := os.ReadFile(filepath.Join(h.DataDir, path))
		must(h.t, err)
		if string(got) != want {
			h.t.Errorf("%s is another", path)
		}
	}
	if _, err := os.Stat(filepath.Join(h.DataDir, "videos/films/f1/.film.mp4.0a.tmp")); err == nil {
		h.t.Error("what was in the making came along")
	}
	if left, _ := filepath.Glob(filepath.Join(h.DataDir, "*", restoring+"-new*")); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
}

// repository is a new one, for restic's environment.
func repository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	t.Setenv("RESTIC_REPOSITORY", dir)
	t.Setenv("RESTIC_PASSWORD", "correct horse")
	t.Setenv("RESTIC_CACHE_DIR", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	return dir
}

func TestRestoredElsewhere(t *testing.T) {
	repository(t)
	here := newHome(t, "films/ai-film")
	here.works()
	id, err := here.Backup(t.Context(), Keep{Daily: 7}, 100)
	must(t, err)
	if left, _ := os.ReadDir(filepath.Join(os.TempDir(), workDir)); len(left) > 0 {
		t.Error("passwords and dumps were left in the scratch space")
	}

	there := newHome(t, "elsewhere/studio")
	must(t, there.Await(t.Context(), time.Hour))
	nowhere := there.Studio
	nowhere.Databases = []Database{{"studio", "postgresql://nobody@127.0.0.1:1/studio"}}
	refused(t, nowhere.Await(t.Context(), time.Millisecond), "")
	there.exec(0, "CREATE TABLE film (id text PRIMARY KEY, state text); CREATE TABLE newer (id int)") // its services were faster
	var got map[string][]byte
	restarted := 0
	r := Restore{Snapshot: "latest", Secret: func(_ context.Context, keys map[string][]byte) error { got = keys; return nil },
		Restart: func(context.Context) error { restarted++; there.holds("f1donea keeper’s lamp1"); return nil }}
	must(t, there.Restore(t.Context(), r))
	if restarted != 1 {
		t.Errorf("services were restarted %d times", restarted)
	}
	if len(got) != 2 || string(got["admin-password"]) != "of films/ai-film" || string(got["secret-key"]) != "sessions of films/ai-film" {
		t.Errorf("the Secret was given %q", got)
	}
	if n := there.ask(0, "SELECT count(*)::text FROM pg_tables WHERE tablename = 'newer'"); n != "0" {
		t.Error("what was there is mixed with what was restored")
	}

	// A second time it does nothing, whatever has been made since, and whatever Job asks.
	there.exec(0, "INSERT INTO film VALUES ('f2', 'new', 'since', 7)")
	there.file("videos/films/f2/x.mp4", "since")
	must(t, there.Restore(t.Context(), r))
	must(t, there.Restore(t.Context(), Restore{Snapshot: id[:8], Overwrite: true}))
	if n := there.ask(0, "SELECT count(*)::text FROM film"); n != "2" {
		t.Errorf("%s films", n)
	}

	// Another backup takes nothing away unless that is said.
	here.exec(0, "UPDATE film SET brief = 'changed'")
	other, err := here.Backup(t.Context(), Keep{Last: 5}, 1)
	must(t, err)
	refused(t, there.Restore(t.Context(), Restore{Snapshot: other}), "2 films and 3 files", "backup.restore.overwrite=true")
	must(t, there.Restore(t.Context(), Restore{Snapshot: other[:10], Overwrite: true}))
	there.holds("f1donechanged1")
	if _, err := os.Stat(filepath.Join(there.DataDir, "videos/films/f2")); err == nil {
		t.Error("a film that is in no table kept its files")
	}

	// Two studios in one repository: none is the latest.
	_, err = there.Backup(t.Context(), Keep{Last: 1}, 1)
	must(t, err)
	empty := newHome(t, "third/studio")
	refused(t, empty.Restore(t.Context(), Restore{Snapshot: "latest"}), "several studios", "films/ai-film", "elsewhere/studio", other[:8])
	refused(t, empty.Restore(t.Context(), Restore{Snapshot: "0000000000"}), "0 backups begin with")
	must(t, empty.Restore(t.Context(), Restore{Snapshot: other}))
}

// Whatever of the repository is altered or cut short: refused, and nothing is changed.
func TestDamagedBackupChangesNothing(t *testing.T) {
	dir := repository(t)
	here := newHome(t, "films/ai-film")
	here.works()
	noise := make([]byte, 5<<20) // that packs hold more than one file's parts
	rand.Read(noise)
	here.file("videos/films/f1/noise", string(noise))
	id, err := here.Backup(t.Context(), Keep{Daily: 7}, 1)
	must(t, err)
	there := newHome(t, "elsewhere/studio")
	there.works()
	there.exec(0, "UPDATE film SET brief = 'of there'")
	there.file("videos/films/f9/mine", "mine")

	var parts []string
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.Contains(path, "/locks/") {
			parts = append(parts, path)
		}
		return err
	}))
	if len(parts) < 6 {
		t.Fatalf("a repository of %d files", len(parts))
	}
	for i, part := range parts {
		whole, err := os.ReadFile(part)
		must(t, err)
		ways := []func() []byte{
			func() []byte { return whole[:len(whole)/2] }, // cut short
			func() []byte { changed := slices.Clone(whole); changed[len(changed)/2] ^= 1; return changed },
			func() []byte { return nil }, // gone
		}
		damaged, name := ways[i%len(ways)](), fmt.Sprintf("%s, way %d", strings.TrimPrefix(part, dir), i%len(ways))
		must(t, os.Chmod(part, 0o600))
		if damaged == nil {
			must(t, os.Remove(part))
		} else {
			must(t, os.WriteFile(part, damaged, 0o600))
		}
		t.Setenv("RESTIC_CACHE_DIR", t.TempDir())
		err = there.Restore(t.Context(), Restore{Snapshot: id, Overwrite: true})
		if err == nil {
			t.Errorf("%s: restored", name)
		}
		if got := there.ask(0, "SELECT brief FROM film"); got != "of there" {
			t.Fatalf("%s: the database has %s", name, got)
		}
		if _, err := os.Stat(filepath.Join(there.DataDir, "videos/films/f9/mine")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		must(t, os.WriteFile(part, whole, 0o600))
	}
	t.Setenv("RESTIC_PASSWORD", "wrong")
	refused(t, there.Restore(t.Context(), Restore{Snapshot: id, Overwrite: true}), "the password does not open the repository")
	t.Setenv("RESTIC_PASSWORD", "correct horse")
	t.Setenv("RESTIC_CACHE_DIR", t.TempDir())
	must(t, there.Restore(t.Context(), Restore{Snapshot: id, Overwrite: true}))
	there.holds("f1donea keeper’s lamp1")

	t.Setenv("RESTIC_REPOSITORY", t.TempDir())
	refused(t, there.Restore(t.Context(), Restore{Snapshot: "another"}), "there is no repository of backups")
}

// A restore that was broken off goes on when it is called again, as a Job does.
func TestBrokenOffAndGoneOn(t *testing.T) {
	repository(t)
	here := newHome(t, "films/ai-film")
	here.works()
	_, err := here.Backup(t.Context(), Keep{Daily: 7}, 1)
	must(t, err)
	there := newHome(t, "elsewhere/studio")
	url := there.Databases[2].URL
	there.Databases[2].URL = strings.Replace(url, "_dagster@", "_nobody@", 1)
	refused(t, there.Restore(t.Context(), Restore{Snapshot: "latest"}), "database dagster", "Run the restore again")
	there.Databases[2].URL = url
	must(t, there.Restore(t.Context(), Restore{Snapshot: "latest"})) // though films are there by now
	there.holds("f1donea keeper’s lamp1")
}

// Services that are connected, one of them in the middle of something, are sent away and don't keep the restore waiting.
func TestServicesAreConnected(t *testing.T) {
	repository(t)
	here := newHome(t, "films/ai-film")
	here.works()
	_, err := here.Backup(t.Context(), Keep{Daily: 7}, 1)
	must(t, err)
	there := newHome(t, "elsewhere/studio")
	there.exec(0, "CREATE TABLE film (id text)")
	c, err := pgx.Connect(t.Context(), there.Databases[0].URL)
	must(t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(t.Context(), "BEGIN; LOCK TABLE film IN ACCESS EXCLUSIVE MODE; COMMIT; BEGIN; SELECT * FROM film")
	must(t, err)
	must(t, there.Restore(t.Context(), Restore{Snapshot: "latest"}))
	there.holds("f1donea keeper’s lamp1")
}

// A dump that breaks off leaves the database as it was: what came before it is not committed.
func TestHalfADumpRestoresNothing(t *testing.T) {
	h := newHome(t, "films/ai-film")
	h.works()
	file := filepath.Join(t.TempDir(), "studio.dump")
	must(t, h.Databases[2].dump(t.Context(), file))
	whole, err := os.ReadFile(file)
	must(t, err)
	for _, part := range []float64{0.1, 0.3, 0.5} { // what follows the rows can be done without
		must(t, os.WriteFile(file, whole[:int(float64(len(whole))*part)], 0o600))
		env, err := h.Databases[0].env()
		must(t, err)
		if err := h.Databases[0].restoreOnce(t.Context(), env, file); err == nil {
			t.Fatalf("%v of the dump: no error", part)
		} else {
			refused(t, err, "pg_restore")
		}
		if id := h.ask(0, "SELECT id FROM film"); id != "f1" {
			t.Fatalf("%v of the dump: %s", part, id)
		}
	}
}

func TestOldBackupsGo(t *testing.T) {
	repository(t)
	here := newHome(t, "films/ai-film")
	here.works()
	other := here.Studio
	other.Name = "films/other"
	_, err := other.Backup(t.Context(), Keep{Last: 1}, 1)
	must(t, err)
	var ids []string
	for range 3 {
		id, err := here.Backup(t.Context(), Keep{Last: 2}, 1)
		must(t, err)
		ids = append(ids, id)
	}
	all, err := Snapshots(t.Context())
	must(t, err)
	var left []string
	for _, one := range all {
		left = append(left, one.Host+" "+one.Short())
	}
	if len(left) != 3 || !strings.Contains(fmt.Sprint(left), ids[1][:8]) || !strings.Contains(fmt.Sprint(left), ids[2][:8]) || !strings.Contains(fmt.Sprint(left), "films/other") {
		t.Errorf("left are %v, made were %v", left, ids)
	}
	_, err = here.Backup(t.Context(), Keep{}, 1)
	refused(t, err, "keep names no backup")
}

// What is not in a manifest's dumps, or is of another format, is said and not guessed.
func TestManifestIsHeldTo(t *testing.T) {
	repository(t)
	must(t, open(t.Context(), true))
	here := newHome(t, "films/ai-film")
	dir := filepath.Join(os.TempDir(), workDir)
	must(t, os.MkdirAll(dir, 0o700))
	for name, c := range map[string]struct {
		change func(*Manifest)
		says   string
	}{
		"another format": {func(m *Manifest) { m.Format = 2 }, "format 2"},
		"a dump too few": {func(m *Manifest) { m.Dumps = map[string]Part{"studio": m.Dumps["studio"]} }, "no dump of the database langgraph"},
		"another dump": {func(m *Manifest) {
			m.Dumps = map[string]Part{"studio": {1, "0"}, "langgraph": {1, "0"}, "dagster": {1, "0"}}
		}, "is not what the manifest says"},
		"files that were": {func(m *Manifest) { m.Files = map[string]Tree{"videos": {Files: 3}} }, "knows of 3 files on the volume videos"},
	} {
		m, err := here.write(t.Context(), dir)
		must(t, err)
		c.change(&m)
		data, err := json.Marshal(m)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), data, 0o600))
		id, err := save(t.Context(), "films/"+name, []string{dir})
		must(t, err)
		refused(t, newHomeOf(here).Restore(t.Context(), Restore{Snapshot: id}), c.says, "nothing was changed")
	}
}

// newHomeOf is a view of the same home.
func newHomeOf(h *home) *home { return &home{Studio: h.Studio, t: h.t} }

// The API server is asked for no more than the Secret's keys and restarts.
func TestSecretIsPutAndServicesStartAnew(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body))
		if strings.Contains(r.URL.Path, "forbidden") {
			http.Error(w, `{"message":"no"}`, http.StatusForbidden)
		}
	}))
	defer server.Close()
	account := t.TempDir()
	must(t, os.WriteFile(filepath.Join(account, "token"), []byte("t\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(account, "ca.crt"), pemOf(server), 0o600))
	c := Cluster{server.URL, account, "films"}
	must(t, c.PutSecret(t.Context(), "ai-film", map[string][]byte{"admin-password": []byte("p")}))
	must(t, c.PutSecret(t.Context(), "ai-film", nil)) // asks for nothing
	must(t, c.Restart(t.Context(), "flask"))
	if len(asked) != 2 || asked[0] != `PATCH /api/v1/namespaces/films/secrets/ai-film Bearer t application/strategic-merge-patch+json {"data":{"admin-password":"cA=="}}` ||
		!strings.Contains(asked[1], "/apis/apps/v1/namespaces/films/deployments/flask") || !strings.Contains(asked[1], "restartedAt") {
		t.Errorf("%q", asked)
	}
	refused(t, c.Restart(t.Context(), "forbidden"), "403", `"no"`)
}

func pemOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
