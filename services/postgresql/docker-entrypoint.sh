#!/bin/bash
# The official image's start, in short: make the database cluster once, run /docker-entrypoint-initdb.d, then serve.
# Anything but `postgres` as command runs as it stands. Each variable may come from a file: POSTGRES_PASSWORD_FILE.
set -Eeuo pipefail

from_file() { local file="${1}_FILE"; if [ -n "${!file:-}" ]; then export "$1=$(< "${!file}")"; fi; }

if [ "${1:0:1}" = '-' ]; then set -- postgres "$@"; fi
if [ "${1:-}" != postgres ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown -R postgres:postgres "$PGDATA" /var/run/postgresql && chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  for v in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$v"; done
  user="${POSTGRES_USER:-postgres}" db="${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo >&2 "No password for the superuser: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in."
    exit 1
  fi
  initdb --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") --auth-local=trust --auth-host="$method" ${POSTGRES_INITDB_ARGS:-}
  echo "host all all all $method" >> "$PGDATA/pg_hba.conf"
  # Nobody but the scripts may connect before they are through.
  pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses=''"
  psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$user" --dbname)
  if [ "$db" != postgres ]; then "${psql[@]}" postgres --set db="$db" <<< 'CREATE DATABASE :"db";'; fi
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh) . "$script" ;;
      *.sql) "${psql[@]}" "$db" -f "$script" ;;
      *.sql.gz) gunzip -c "$script" | "${psql[@]}" "$db" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
