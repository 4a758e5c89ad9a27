-- The studio's roles and databases, one pair a service. Safe to run again; a changed password in the Secret takes effect.
\getenv password POSTGRES_PASSWORD
ALTER ROLE postgres PASSWORD :'password';

\getenv password STUDIO_PASSWORD
SELECT 'CREATE ROLE studio' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'studio') \gexec
ALTER ROLE studio LOGIN PASSWORD :'password';
SELECT 'CREATE DATABASE studio OWNER studio' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'studio') \gexec
REVOKE CONNECT ON DATABASE studio FROM PUBLIC;

\getenv password LANGGRAPH_PASSWORD
SELECT 'CREATE ROLE langgraph' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'langgraph') \gexec
ALTER ROLE langgraph LOGIN PASSWORD :'password';
SELECT 'CREATE DATABASE langgraph OWNER langgraph' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'langgraph') \gexec
REVOKE CONNECT ON DATABASE langgraph FROM PUBLIC;

\getenv password DAGSTER_PASSWORD
SELECT 'CREATE ROLE dagster' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dagster') \gexec
ALTER ROLE dagster LOGIN PASSWORD :'password';
SELECT 'CREATE DATABASE dagster OWNER dagster' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dagster') \gexec
REVOKE CONNECT ON DATABASE dagster FROM PUBLIC;
