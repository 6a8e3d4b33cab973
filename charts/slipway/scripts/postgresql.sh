# Starts PostgreSQL in /data/db, made first when it is not there; PASSWORD is that of the user slipway.
set -eu
for folder in /usr/lib/postgresql/*/bin /usr/local/bin; do
    [ ! -x "$folder/postgres" ] || PATH="$folder:$PATH"
done

if [ ! -d /data/db ]; then
    rm -rf /data/new # of a start that was cut short
    printf %s "$PASSWORD" >/tmp/password
    initdb --pgdata=/data/new --username=slipway --pwfile=/tmp/password \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>/data/new/pg_hba.conf
    echo 'CREATE DATABASE slipway;' | postgres --single -D /data/new postgres
    mv /data/new /data/db
fi
rm -f /data/db/postmaster.pid # nobody else has this volume
# a password that was rotated
echo "ALTER ROLE slipway PASSWORD '$PASSWORD';" | postgres --single -D /data/db postgres

# clients stay connected for ever, so a polite end is the one that does not wait for them
trap 'kill -INT "$server"' TERM
postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=300 &
server=$!
wait "$server" || wait "$server" # the first is cut short by the signal
