package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store keeps takes over a restart of the relay. Every take has one owner at a time; a relay that ends releases its
// takes, and those of one that died are free after the lease.
type Store interface {
	Save(ctx context.Context, t *take) error
	Delete(ctx context.Context, id string) error
	Get(ctx context.Context, id string) (*take, error)
	// Adopt returns unfinished takes nobody owns, now ours, and on the first call also the finished ones, oldest first.
	Adopt(ctx context.Context, limit int) ([]*take, error)
	Release(ctx context.Context)
	Ready(ctx context.Context) error
}

const lease = 10 * time.Second

// Postgres is a Store in the schema comfyui of a PostgreSQL database.
type Postgres struct {
	pool  *pgxpool.Pool
	owner string
	read  bool // history was read
}

// the graph is json, not jsonb: the order of its keys and the digits of its numbers are part of it
const schema = `
create table if not exists comfyui.prompt (
	id uuid primary key,
	number double precision not null,
	graph json not null,
	extra json not null,
	client text not null,
	partial text[],
	outputs json,
	state text not null,
	backend text not null,
	remote text not null,
	attempt int not null,
	record json,
	files json,
	owner text,
	seen timestamptz,
	submitted timestamptz not null,
	finished timestamptz
);
create index if not exists prompt_state on comfyui.prompt (state, submitted);`

// OpenPostgres connects lazily: a database that isn't there yet shows in Ready, and the schema is made when it is.
func OpenPostgres(ctx context.Context, url string) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	config.MaxConns = 4
	p := &Postgres{owner: uuid.NewString()}
	migrated := make(chan struct{}, 1)
	migrated <- struct{}{}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		select {
		case <-migrated: // the first connection that succeeds migrates
			if err := migrate(ctx, c); err != nil {
				migrated <- struct{}{}
				return err
			}
		default:
		}
		return nil
	}
	p.pool, err = pgxpool.NewWithConfig(ctx, config)
	return p, err
}

func migrate(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('comfyui.prompt'))`); err != nil {
			return err
		}
		var have bool
		if err := tx.QueryRow(ctx, `select exists (select from pg_namespace where nspname = 'comfyui')`).Scan(&have); err != nil {
			return err
		}
		if !have { // asking for it needs a right that who has the schema may lack
			if _, err := tx.Exec(ctx, `create schema comfyui`); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

func text(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}

func (p *Postgres) Save(ctx context.Context, t *take) error {
	var rec, files any
	if t.Record != nil {
		r, _ := json.Marshal(t.Record)
		f, _ := json.Marshal(t.Files)
		rec, files = string(r), string(f)
	}
	var finished any
	owner := any(p.owner)
	if t.State == done {
		finished, owner = time.Now(), nil
	}
	_, err := p.pool.Exec(ctx, `
		insert into comfyui.prompt (id, number, graph, extra, client, partial, outputs, state, backend, remote, attempt, record, files, owner, seen, submitted, finished)
		values ($1, $2, $3::json, $4::json, $5, $6, $7::json, $8, $9, $10, $11, $12::json, $13::json, $14, now(), $15, $16)
		on conflict (id) do update set outputs = excluded.outputs, state = excluded.state, backend = excluded.backend, remote = excluded.remote,
			attempt = excluded.attempt, record = excluded.record, files = excluded.files, owner = excluded.owner, seen = now(),
			finished = coalesce(comfyui.prompt.finished, excluded.finished)`,
		t.ID, t.Number, string(t.Graph), string(t.Extra), strings.ReplaceAll(t.Client, "\x00", ""), t.Partial, text(t.Outputs),
		t.State, t.Backend, t.Remote, t.Attempt, rec, files, owner, t.Submitted, finished)
	return err
}

func (p *Postgres) Delete(ctx context.Context, id string) error {
	_, err := p.pool.Exec(ctx, `delete from comfyui.prompt where id = $1`, id)
	return err
}

const columns = `id::text, number, graph::text, extra::text, client, partial, coalesce(outputs::text, ''), state, backend, remote, attempt,
	coalesce(record::text, ''), coalesce(files::text, ''), submitted`

func scan(row pgx.CollectableRow) (*take, error) {
	t := &take{finished: make(chan struct{})}
	var graph, extra, outputs, rec, files string
	if err := row.Scan(&t.ID, &t.Number, &graph, &extra, &t.Client, &t.Partial, &outputs, &t.State, &t.Backend, &t.Remote, &t.Attempt, &rec, &files, &t.Submitted); err != nil {
		return nil, err
	}
	t.Graph, t.Extra, t.Outputs = json.RawMessage(graph), json.RawMessage(extra), json.RawMessage(outputs)
	if rec != "" {
		t.Record = &record{}
		if err := json.Unmarshal([]byte(rec), t.Record); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(files), &t.Files); err != nil {
			return nil, err
		}
	}
	if t.State == done {
		t.told = true
		close(t.finished)
	}
	return t, nil
}

func (p *Postgres) Get(ctx context.Context, id string) (*take, error) {
	rows, err := p.pool.Query(ctx, `select `+columns+` from comfyui.prompt where id = $1`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

func (p *Postgres) Adopt(ctx context.Context, limit int) ([]*take, error) {
	// our own lease, and the others' that ran out
	if _, err := p.pool.Exec(ctx, `update comfyui.prompt set seen = now() where owner = $1`, p.owner); err != nil {
		return nil, err
	}
	rows, err := p.pool.Query(ctx, `update comfyui.prompt set owner = $1, seen = now()
		where state <> 'done' and (owner is null or owner <> $1 and seen < now() - $2::interval) returning `+columns, p.owner, lease)
	if err != nil {
		return nil, err
	}
	adopted, err := pgx.CollectRows(rows, scan)
	if err != nil || p.read {
		return adopted, err
	}
	if _, err := p.pool.Exec(ctx, `delete from comfyui.prompt where state = 'done' and id not in
		(select id from comfyui.prompt where state = 'done' order by finished desc limit $1)`, limit); err != nil {
		return nil, err
	}
	rows, err = p.pool.Query(ctx, `select `+columns+` from comfyui.prompt where state = 'done' order by finished`)
	if err != nil {
		return nil, err
	}
	old, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, err
	}
	p.read = true
	return append(old, adopted...), nil
}

func (p *Postgres) Release(ctx context.Context) {
	p.pool.Exec(ctx, `update comfyui.prompt set owner = null where owner = $1`, p.owner)
}

// Ready tells whether the database answers and has the schema.
func (p *Postgres) Ready(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `select 1 from comfyui.prompt limit 1`)
	return err
}

// Close ends all connections.
func (p *Postgres) Close() { p.pool.Close() }

// adopt takes over what the database has and no relay looks after.
func (r *Relay) adopt(ctx context.Context) {
	if r.options.Store == nil {
		return
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := r.options.Store.Adopt(ask, r.options.HistoryLimit)
	if err != nil {
		if ctx.Err() == nil {
			slog.Warn("database does not answer", "error", err.Error())
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range found {
		if r.takes[t.ID] != nil {
			continue
		}
		r.takes[t.ID] = t
		r.number = max(r.number, t.Number+1)
		for _, f := range t.Files {
			r.public[f.Public] = t.ID
		}
		switch {
		case t.State == done:
			r.finished = append(r.finished, t.ID)
			continue
		case t.State == waiting && t.Backend != "": // it was being placed when its relay ended: perhaps it is there
			t.State = placed
		}
		if t.State == placed {
			r.remote[t.Backend+" "+t.Remote] = t.ID
			if r.backends[t.Backend] == nil { // its server is gone while nobody looked
				delete(r.remote, t.Backend+" "+t.Remote)
				t.State, t.lastError = waiting, t.Backend+" is no longer among the servers"
			}
		}
		slog.Info("prompt adopted", "prompt_id", t.ID, "state", t.State, "backend", t.Backend)
	}
}

// save writes what changed to the database; what can't be written now is written at the next turn.
func (r *Relay) save(ctx context.Context) {
	if r.options.Store == nil {
		return
	}
	r.mu.Lock()
	var due []take
	for _, t := range r.takes {
		if t.unsaved && !t.hidden {
			t.unsaved = false
			due = append(due, *t)
		}
	}
	r.mu.Unlock()
	for i := range due {
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := r.options.Store.Save(ask, &due[i])
		cancel()
		if err == nil {
			continue
		}
		if !errors.Is(err, context.Canceled) {
			slog.Warn("prompt could not be saved", "prompt_id", due[i].ID, "error", err.Error())
		}
		r.mu.Lock()
		if t := r.takes[due[i].ID]; t != nil {
			t.unsaved = true
		}
		r.mu.Unlock()
	}
}
