package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ai-film/ai-film/services/comfyui/wire"
)

// Postgres is a Store in the schema comfyui of a PostgreSQL database. A relay shows that it lives by a row of its own,
// written at each turn; all time is the database's, so that no clock of a relay matters.
type Postgres struct {
	pool  *pgxpool.Pool
	beat  *pgxpool.Pool // one connection for our turns: whoever floods us must not keep us from telling that we live
	owner string        // this process
	name  string        // this place: two processes of one name never live at once
	keep  Keep
	known bool      // the row that says we live was written
	swept time.Time // when old takes were last deleted
}

// Keep says how much history is kept: the newest Count prompts, none older than Age.
type Keep struct {
	Count int
	Age   time.Duration
}

// lease is how long a relay may be silent before others take its prompts over. One that comes back under its name has
// them at once, and meanwhile every relay tells of them.
const lease = 5 * time.Second

// The graph is json, not jsonb: the order of its keys and the digits of its numbers are part of it. A name is the public
// name of a file. The columns seen and files are read by relays of older versions, too.
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
alter table comfyui.prompt add column if not exists accepted boolean not null default true;
alter table comfyui.prompt add column if not exists cancelled boolean not null default false;
alter table comfyui.prompt add column if not exists forgotten boolean not null default false;
alter table comfyui.prompt add column if not exists film text not null default '';
create index if not exists prompt_state on comfyui.prompt (state, submitted);
create index if not exists prompt_film on comfyui.prompt (film);
create index if not exists prompt_finished on comfyui.prompt (finished) where state = 'done';
create table if not exists comfyui.relay (owner text primary key, name text not null, seen timestamptz not null);
create sequence if not exists comfyui.number minvalue 0 start 0;
select setval('comfyui.number', top) from (select ceil(max(number))::bigint top from comfyui.prompt where number < 1e15) p
	where top > (select last_value from comfyui.number);
create table if not exists comfyui.name (
	type text, subfolder text, filename text,
	prompt uuid not null references comfyui.prompt on delete cascade,
	primary key (type, subfolder, filename)
);
create table if not exists comfyui.withdrawn (id uuid primary key, at timestamptz not null);
create table if not exists comfyui.owed (server text, film text, at timestamptz not null default now(), primary key (server, film));
create index if not exists name_prompt on comfyui.name (prompt);
insert into comfyui.name select f->'public'->>'type', f->'public'->>'subfolder', f->'public'->>'filename', id
	from comfyui.prompt, json_array_elements(files) f where json_typeof(files) = 'array' on conflict do nothing;`

// OpenPostgres connects lazily: a database that isn't there yet shows in Ready, and the schema is made when it is. The
// relay's name is that of its pod, or another that no other living relay has.
func OpenPostgres(ctx context.Context, url, name string, keep Keep) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	config.MaxConns = 6
	// What was answered must outlive the database's end, too, whatever it does for others; and one that doesn't answer must
	// not hold us.
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	config.ConnConfig.RuntimeParams["statement_timeout"] = "30s"
	p := &Postgres{owner: uuid.NewString(), name: name, keep: keep}
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
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	one := config.Copy()
	one.MaxConns = 1
	if p.beat, err = pgxpool.NewWithConfig(ctx, one); err != nil {
		p.pool.Close()
	}
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

// clean is what PostgreSQL's text takes.
func clean(text string) string { return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "") }

func (p *Postgres) Enter(ctx context.Context, t *take, numbered, front bool) (*take, error) {
	var number *float64
	if numbered {
		number = &t.Number
	}
	sign := 1
	if front {
		sign = -1
	}
	for {
		// A withdrawn id may be used again: who took a prompt out of the queue may think better of it.
		err := p.pool.QueryRow(ctx, `
			with again as (delete from comfyui.withdrawn where id = $1)
			insert into comfyui.prompt (id, number, graph, extra, client, film, partial, state, accepted, backend, remote, attempt, owner, seen, submitted)
			values ($1, coalesce($2::float8, $3 * nextval('comfyui.number')), $4::json, $5::json, $6, $7, $8, 'waiting', false, '', '', 0, $9, now(), now())
			on conflict (id) do nothing returning number`,
			t.ID, number, sign, string(t.Graph), string(t.Extra), clean(t.Client), t.Film, t.Partial, p.owner).Scan(&t.Number)
		if !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
		if known, err := p.Get(ctx, t.ID); known != nil || err != nil {
			return known, err
		} // it was forgotten in between
	}
}

func (p *Postgres) Save(ctx context.Context, t *take) error {
	tag, err := p.save(ctx, t)
	if err == nil && tag.RowsAffected() == 0 {
		return errNotOurs
	}
	return err
}

func (p *Postgres) save(ctx context.Context, t *take) (pgconn.CommandTag, error) {
	if t.State == withdrawn {
		return p.pool.Exec(ctx, `with gone as (delete from comfyui.prompt where id = $1 and owner = $2 returning id)
			insert into comfyui.withdrawn select id, now() from gone on conflict (id) do update set at = now()`, t.ID, p.owner)
	}
	var rec any
	if t.Record != nil {
		r, _ := json.Marshal(t.Record)
		rec = string(r)
	}
	files, _ := json.Marshal(append([]file{}, t.Files...))
	return p.pool.Exec(ctx, `
		update comfyui.prompt set outputs = $3::json, state = $4, accepted = $5, backend = $6, remote = $7, attempt = $8, record = $9::json,
			files = $10::json, owner = case when $4 = 'done' then null else owner end, seen = now(), finished = case when $4 = 'done' then now() end
		where id = $1 and owner = $2`,
		t.ID, p.owner, text(t.Outputs), t.State, t.Accepted, t.Backend, clean(t.Remote), t.Lost, rec, string(files))
}

func (p *Postgres) Name(ctx context.Context, t *take, f file) (file, error) {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		for n := 0; ; n++ {
			name := f.Remote.variant(n)
			tag, err := tx.Exec(ctx, `insert into comfyui.name values ($1, $2, $3, $4) on conflict do nothing`, clean(name.Type), clean(name.Subfolder), clean(name.Filename), t.ID)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 1 {
				f.Public = name
				break
			}
		}
		files, _ := json.Marshal(append(append([]file{}, t.Files...), f))
		tag, err := tx.Exec(ctx, `update comfyui.prompt set files = $3::json where id = $1 and owner = $2`, t.ID, p.owner, string(files))
		if err == nil && tag.RowsAffected() == 0 {
			return errNotOurs
		}
		return err
	})
	return f, err
}

func (p *Postgres) Move(ctx context.Context, id string, files []file) error {
	f, _ := json.Marshal(files)
	_, err := p.pool.Exec(ctx, `update comfyui.prompt set files = $2::json where id = $1 and state = 'done'`, id, string(f))
	return err
}

const columns = `id::text, number, graph::text, extra::text, client, film, partial, coalesce(outputs::text, ''), state, accepted, backend, remote, attempt,
	coalesce(record::text, ''), coalesce(files::text, ''), submitted`

func scan(row pgx.CollectableRow) (*take, error) {
	t := &take{finished: make(chan struct{})}
	var graph, extra, outputs, rec, files string
	if err := row.Scan(&t.ID, &t.Number, &graph, &extra, &t.Client, &t.Film, &t.Partial, &outputs, &t.State, &t.Accepted, &t.Backend, &t.Remote, &t.Lost, &rec, &files, &t.Submitted); err != nil {
		return nil, err
	}
	t.Graph, t.Extra, t.Outputs = json.RawMessage(graph), json.RawMessage(extra), json.RawMessage(outputs)
	if rec != "" {
		t.Record = &record{}
		if err := json.Unmarshal([]byte(rec), t.Record); err != nil {
			return nil, err
		}
	}
	if files != "" {
		if err := json.Unmarshal([]byte(files), &t.Files); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (p *Postgres) Get(ctx context.Context, id string) (*take, error) {
	rows, err := p.pool.Query(ctx, `select `+columns+` from comfyui.prompt where id = $1`, id)
	if err != nil {
		return nil, err
	}
	t, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return t, err
}

func (p *Postgres) Named(ctx context.Context, name ref) (id string, err error) {
	err = p.pool.QueryRow(ctx, `select prompt::text from comfyui.name where type = $1 and subfolder = $2 and filename = $3`,
		clean(name.Type), clean(name.Subfolder), clean(name.Filename)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, err
}

func (p *Postgres) ids(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := p.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (p *Postgres) Unfinished(ctx context.Context) ([]string, error) {
	return p.ids(ctx, `select id::text from comfyui.prompt where state <> 'done' and not cancelled order by number, submitted`)
}

func (p *Postgres) History(ctx context.Context, limit, offset int) ([]string, error) {
	var most *int
	if limit >= 0 {
		most = &limit
	}
	if offset < 0 && limit >= 0 { // the newest
		return p.ids(ctx, `select id::text from (select id, finished from comfyui.prompt where state = 'done' order by finished desc, id desc limit $1) p order by finished, id`, most)
	}
	return p.ids(ctx, `select id::text from comfyui.prompt where state = 'done' order by finished, id limit $1 offset $2`, most, max(0, offset))
}

func (p *Postgres) Whereabouts(ctx context.Context, ids []string) (map[string]string, error) {
	rows, err := p.pool.Query(ctx, `select id::text, case when state = 'done' then '' else backend end from comfyui.prompt where id = any($1::uuid[])
		union all select id::text, '' from comfyui.withdrawn where id = any($1::uuid[])`, uuids(ids))
	if err != nil {
		return nil, err
	}
	at := map[string]string{}
	var id, backend string
	_, err = pgx.ForEachRow(rows, []any{&id, &backend}, func() error { at[id] = backend; return nil })
	return at, err
}

// uuids leaves out what can't be one of our ids; nil stays nil.
func uuids(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !wire.IsID(id) })
}

func (p *Postgres) Cancel(ctx context.Context, ids []string, forget bool) error {
	_, err := p.pool.Exec(ctx, `update comfyui.prompt set cancelled = true, forgotten = forgotten or $2
		where state <> 'done' and ($1::uuid[] is null or id = any($1::uuid[]))`, uuids(ids), forget)
	return err
}

func (p *Postgres) Forget(ctx context.Context, ids []string) ([]*take, error) {
	rows, err := p.pool.Query(ctx, `delete from comfyui.prompt where state = 'done' and ($1::uuid[] is null or id = any($1::uuid[]))
		returning id::text, backend, remote`, uuids(ids))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*take, error) {
		t := &take{State: done}
		return t, row.Scan(&t.ID, &t.Backend, &t.Remote)
	})
}

func (p *Postgres) OfFilm(ctx context.Context, film string) ([]string, error) {
	return p.ids(ctx, `select id::text from comfyui.prompt where film = $1`, film)
}

func (p *Postgres) Owe(ctx context.Context, server, film string) error {
	_, err := p.pool.Exec(ctx, `insert into comfyui.owed values ($1, $2) on conflict do nothing`, server, film)
	return err
}

func (p *Postgres) Owed(ctx context.Context, server string) ([]string, error) {
	return p.ids(ctx, `select film from comfyui.owed where server = $1 order by at limit 1000`, server)
}

func (p *Postgres) Paid(ctx context.Context, server, film string) error {
	_, err := p.pool.Exec(ctx, `delete from comfyui.owed where server = $1 and film = $2`, server, film)
	return err
}

func (p *Postgres) Turn(ctx context.Context) (now turn, err error) {
	if !p.known { // whoever had our name before us is dead
		if _, err := p.beat.Exec(ctx, `with dead as (delete from comfyui.relay where name = $1 and owner <> $2 returning owner)
			update comfyui.prompt set owner = null where owner in (select owner from dead) and state <> 'done'`, p.name, p.owner); err != nil {
			return now, err
		}
	}
	if _, err := p.beat.Exec(ctx, `insert into comfyui.relay values ($1, $2, now()) on conflict (owner) do update set seen = now()`, p.owner, p.name); err != nil {
		return now, err
	}
	p.known = true
	// A row that says when its relay lived is trusted only where that is neither long ago nor, after the database's clock was
	// put back, to come. Without a row it is a relay that was released just now, or one of an older version.
	rows, err := p.beat.Query(ctx, `update comfyui.prompt set owner = $1, seen = now() where id in (
			select id from comfyui.prompt p where state <> 'done' and (owner is null or owner <> $1
				and not exists (select from comfyui.relay r where r.owner = p.owner and r.seen between now() - $2::interval and now() + $2::interval)
				and (exists (select from comfyui.relay r where r.owner = p.owner) or seen < now() - $2::interval or seen > now() + $2::interval))
			for update skip locked)
		returning `+columns, p.owner, lease)
	if err != nil {
		return now, err
	}
	if now.adopted, err = pgx.CollectRows(rows, scan); err != nil {
		return now, err
	}
	now.ours = map[string]mark{}
	rows, err = p.beat.Query(ctx, `select id::text, cancelled, forgotten from comfyui.prompt where owner = $1 and state <> 'done'`, p.owner)
	if err != nil {
		return now, err
	}
	var id string
	var m mark
	if _, err := pgx.ForEachRow(rows, []any{&id, &m.cancelled, &m.forgotten}, func() error { now.ours[id] = m; return nil }); err != nil {
		return now, err
	}
	if err := p.beat.QueryRow(ctx, `select count(*) from comfyui.prompt where owner <> $1 and state <> 'done' and not cancelled`, p.owner).Scan(&now.elsewhere); err != nil {
		return now, err
	}
	if time.Since(p.swept) > time.Minute {
		p.swept = time.Now()
		return now, p.sweep(ctx)
	}
	return now, nil
}

// sweep deletes what is older than is kept.
func (p *Postgres) sweep(ctx context.Context) error {
	for _, q := range []struct {
		text string
		args []any
	}{
		{`delete from comfyui.prompt where state = 'done' and (finished < now() - $1::interval or id in
			(select id from comfyui.prompt where state = 'done' order by finished desc offset $2))`, []any{p.keep.Age, p.keep.Count}},
		{`delete from comfyui.withdrawn where at < now() - interval '1 day'`, nil},
		{`delete from comfyui.owed where at < now() - interval '30 days'`, nil}, // a server that is away for so long is no more
		{`delete from comfyui.relay where seen < now() - interval '1 hour'`, nil},
	} {
		if _, err := p.beat.Exec(ctx, q.text, q.args...); err != nil {
			return err
		}
	}
	return nil
}

func (p *Postgres) Release(ctx context.Context) {
	p.pool.Exec(ctx, `with gone as (delete from comfyui.relay where owner = $1) update comfyui.prompt set owner = null where owner = $1`, p.owner)
}

// Ready tells whether the database answers and has the schema.
func (p *Postgres) Ready(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `select 1 from comfyui.prompt limit 1`)
	return err
}

// Close ends all connections.
func (p *Postgres) Close() {
	p.pool.Close()
	p.beat.Close()
}
