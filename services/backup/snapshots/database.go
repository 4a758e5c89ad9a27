package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Database is one of the studio's.
type Database struct {
	Name string // studio, langgraph or dagster, whatever it is called on its server
	URL  string // as its service takes it; its role owns the database
}

// env is the database as libpq's programs take it from their environment: a command line is for all to read.
func (d Database) env() ([]string, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "postgresql" && u.Scheme != "postgres" {
		return nil, fmt.Errorf("the URL of the database %s can't be read", d.Name)
	}
	env := []string{"PGDATABASE=" + strings.TrimPrefix(u.Path, "/"), "PGAPPNAME=ai-film-backup", "PGCONNECT_TIMEOUT=30"}
	set := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	set("PGHOST", u.Hostname())
	set("PGPORT", u.Port())
	set("PGUSER", u.User.Username())
	password, _ := u.User.Password()
	set("PGPASSWORD", password)
	for name, values := range u.Query() {
		switch name {
		case "host", "sslmode", "sslrootcert":
			set("PG"+strings.ToUpper(name), values[0])
		default:
			return nil, fmt.Errorf("the URL of the database %s has a parameter %s, which is unknown here", d.Name, name)
		}
	}
	return env, nil
}

// dump writes the database into a file, in PostgreSQL's own format, of one moment.
func (d Database) dump(ctx context.Context, file string) error {
	env, err := d.env()
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := run(ctx, env, nil, out, "pg_dump", "--format=custom", "--compress=zstd:3", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"); err != nil {
		return fmt.Errorf("database %s: %w", d.Name, err)
	}
	return out.Close()
}

// ask returns the one value that a query has.
func (d Database) ask(ctx context.Context, query string) (string, error) {
	env, err := d.env()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := run(ctx, env, strings.NewReader(query), &out, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"); err != nil {
		return "", fmt.Errorf("database %s: %w", d.Name, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// empty is what takes all away that the role owns in its database, and first whoever of the role is connected: they connect
// again, and wait until the transaction is through.
const empty = `
BEGIN;
SET LOCAL lock_timeout = '30s';
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid();
DO $$
DECLARE what record;
BEGIN
  FOR what IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', what.nspname);
  END LOOP;
  FOR what IN SELECT c.oid::regclass::text AS name, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind
              FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relowner = current_user::regrole LOOP
    IF to_regclass(what.name) IS NOT NULL THEN -- else it went with another
      EXECUTE format('DROP %s %s CASCADE', what.kind, what.name);
    END IF;
  END LOOP;
  FOR what IN SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole LOOP
    EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', what.name);
  END LOOP;
  FOR what IN SELECT t.oid::regtype::text AS name FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typowner = current_user::regrole
                AND typtype IN ('e', 'd', 'r') LOOP
    EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', what.name);
  END LOOP;
END $$;
`

// restore puts a dump in place of all that is in the database, in one transaction: it happens or it doesn't. Services may be
// connected meanwhile; where they are in the way it is tried again.
func (d Database) restore(ctx context.Context, file string) error {
	env, err := d.env()
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := d.restoreOnce(ctx, env, file)
		if err == nil || ctx.Err() != nil || attempt == 5 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(attempt) * time.Second):
		}
	}
}

func (d Database) restoreOnce(ctx context.Context, env []string, file string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	script := exec.CommandContext(ctx, "pg_restore", "--no-owner", "--no-privileges", "--file=-", file)
	var said bytes.Buffer
	script.Stderr = &said
	text, err := script.StdoutPipe()
	if err != nil {
		return err
	}
	if err := script.Start(); err != nil {
		return fmt.Errorf("pg_restore: %w", err)
	}
	// Nothing is committed before pg_restore has ended well: where the input ends without a COMMIT, PostgreSQL forgets it all.
	var broken error
	commit := &after{do: func() (string, error) {
		if broken = script.Wait(); broken != nil {
			broken = fmt.Errorf("pg_restore of %s: %w: %s", filepath.Base(file), broken, strings.TrimSpace(said.String()))
			return "", broken
		}
		return "COMMIT;\n\\echo committed\n", nil
	}}
	var out bytes.Buffer
	err = run(ctx, env, io.MultiReader(strings.NewReader(empty), text, commit), &out,
		"psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--output=/dev/null", "--file=-")
	if !commit.done { // psql ended first
		cancel(nil)
		script.Wait()
	}
	if err = errors.Join(broken, err); err == nil && strings.TrimSpace(out.String()) != "committed" {
		err = errors.New("psql ended well and committed nothing")
	}
	if err != nil {
		return fmt.Errorf("database %s: %w", d.Name, err)
	}
	return nil
}

// after is an input whose text is known only when it is reached.
type after struct {
	do   func() (string, error)
	text *strings.Reader
	done bool
}

func (a *after) Read(p []byte) (int, error) {
	if !a.done {
		a.done = true
		text, err := a.do()
		if err != nil {
			return 0, err
		}
		a.text = strings.NewReader(text)
	}
	if a.text == nil {
		return 0, io.EOF
	}
	return a.text.Read(p)
}
