
-- Who measures: it sees statistics, and no film.
\getenv password MONITOR_PASSWORD
SELECT 'CREATE ROLE monitor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
ALTER ROLE monitor LOGIN PASSWORD :'password';
GRANT pg_monitor TO monitor;
