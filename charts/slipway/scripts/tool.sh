# Runs one of PostgreSQL's programs on the database here: `sh /scripts/tool.sh pg_dump …`.
for folder in /usr/lib/postgresql/*/bin; do
    [ ! -x "$folder/postgres" ] || PATH="$folder:$PATH"
done
export PGPASSWORD="$PASSWORD" PGHOST=127.0.0.1 PGUSER=slipway
exec "$@"
