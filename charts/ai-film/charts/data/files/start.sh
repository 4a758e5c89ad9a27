# Starts PostgreSQL with the image's programs and nothing else of the image.
set -eu
umask 077

# A pod deleted by force may run on beside the next one. The lock passes on to the server and ends with its last process.
exec 9> "$PGDATA.lock"
flock -n 9 || { echo "another server holds the volume; waiting for its end"; flock 9; }

# The cluster is made aside and renamed when complete: a pod killed half-way leaves nothing that looks like a database.
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  initdb -D "$PGDATA.new" -U postgres --pwfile=/tmp/password --auth=scram-sha-256 \
    --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 --data-checksums
  rm /tmp/password
  sync
  mv "$PGDATA.new" "$PGDATA"
  sync
fi

# Majors differ in how they keep data: another than wrote this ends at once, and says so where `kubectl describe` shows it.
wrote=$(cat "$PGDATA/PG_VERSION")
runs=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ "$wrote" != "$runs" ]; then
  echo "the volume holds a database of PostgreSQL $wrote, and this image has $runs. Set data.postgresql.image.tag to \"$wrote\"." \
    "To change to $runs: pg_dumpall under $wrote, delete the claim postgres-pvc, install with $runs, restore." |
    tee "${TERMINATION_LOG:-/dev/termination-log}" >&2
  exit 1
fi

# A pod killed outright leaves a pid file naming process 1, which is now us. With the lock held no server is behind it.
rm -f "$PGDATA/postmaster.pid"

# Roles, passwords and databases are brought up to the Secret at every start, by a server that only this pod can reach.
mkdir -p /tmp/init
echo 'local all postgres trust' > /tmp/init/hba.conf
pg_ctl -D "$PGDATA" -s -w -t 600 start -o "-c config_file=/etc/postgresql/postgresql.conf -c hba_file=/tmp/init/hba.conf \
  -c listen_addresses='' -c unix_socket_directories=/tmp/init"
psql -h /tmp/init -U postgres -d postgres -q -X -v ON_ERROR_STOP=1 -f /etc/postgresql/init.sql
pg_ctl -D "$PGDATA" -s -w -m fast stop

exec postgres -D "$PGDATA" -c config_file=/etc/postgresql/postgresql.conf
