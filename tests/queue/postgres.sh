#!/bin/bash
# postgres.sh - a PostgreSQL server of a test's own: on a unix socket, no TCP, in a folder of /tmp.
#
#   postgres.sh run COMMAND...   start one, run the command with QUEUE_TEST_URL, remove it
#   postgres.sh start DIR        make DIR (if new) and start; prints the URL
#   postgres.sh restart DIR      end it as a power cut would, and start it again
#   postgres.sh down DIR         only end it
#   postgres.sh starting DIR     start it as one that does not get through with starting
#   postgres.sh promote DIR      let that one get through
#   postgres.sh stop DIR         end it and remove DIR
#
# Root cannot run a server: then it runs as the user postgres, whom Debian's package has made.
# Exit 77 where no server is installed.
set -euo pipefail
verb=$1

bin=
for at in /usr/lib/postgresql/*/bin; do [ -x "$at/initdb" ] && bin=$at; done
[ -n "$bin" ] || { echo "PostgreSQL is not installed (postgresql): its store is not tested" && exit 77; }
as=()
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || { echo "there is no user postgres to run a server" && exit 77; }
    as=(setpriv --reuid=postgres --regid=postgres --init-groups --no-new-privs)
fi
# The server's user may not enter the caller's folder.
server() { (cd / && env -i PATH=/usr/bin:/bin LC_ALL=C "${as[@]}" "$@"); }
ctl() { server "$bin/pg_ctl" -D "$dir/data" -s -w -t 60 "$@"; }

start() {
    if [ ! -d "$dir/data" ]; then
        mkdir -p "$dir"
        chmod 711 "$dir"
        [ ${#as[@]} = 0 ] || chown postgres "$dir"
        server "$bin/initdb" -D "$dir/data" -U owner -A trust --encoding=UTF8 --no-locale --no-sync \
            --no-instructions >/dev/null
        # A socket's path is 107 characters at most.
        cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
unix_socket_permissions = 0777
max_connections = ${CONNECTIONS:-60}
shared_buffers = ${BUFFERS:-32MB}
fsync = ${FSYNC:-on}
autovacuum_naptime = 5s
logging_collector = off
log_min_messages = warning
CONF
    fi
    ctl -l "$dir/log" start
}

case $verb in
run)
    shift
    dir=$(mktemp -d /tmp/pg.XXXXXX)
    trap 'ctl -m immediate stop || true; rm -rf "$dir"' EXIT
    FSYNC=${FSYNC:-off} start
    QUEUE_TEST_URL="postgresql:///postgres?host=$dir&user=owner" "$@"
    ;;
start)
    dir=$2
    start >/dev/null
    echo "postgresql:///postgres?host=$dir&user=owner"
    ;;
restart) dir=$2 && { ctl -m immediate stop || true; } && ctl -l "$dir/log" start >/dev/null ;;
down) dir=$2 && ctl -m immediate stop ;;
starting) # a standby of nobody, which nobody may ask
    dir=$2
    server touch "$dir/data/standby.signal"
    ctl -l "$dir/log" -o '-c hot_standby=off' start >/dev/null
    ;;
promote) dir=$2 && ctl promote ;;
stop) dir=$2 && { ctl -m immediate stop || true; } && rm -rf "$dir" ;;
*) exit 2 ;;
esac
