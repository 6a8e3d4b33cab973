# The first process of a replica's container: starts the server, starts it again when it ends, and
# says so in reports, lines that begin with a mark that only the driver knows. It lives as long as
# the container does, so the server is kept alive whether or not anybody looks on.
#
#   init MARK COMMAND ARGUMENT…
#
# Plain POSIX and `sleep`: it has to run in every image that has a shell. Times are in hundredths.

mark=$1
shift
stopping=
restarts=0
failures=0
hasty=0

report() {
    printf '%s %s\n' "$mark" "$*" >&2
}

now() { # in $now
    read -r up _ </proc/uptime
    now=${up%.*}${up#*.}
}

rest() { # for $1 hundredths, or until told to stop
    sleep "$(($1 / 100)).$(($1 / 10 % 10))$(($1 % 10))" &
    wait "$!"
}

alone() { # wait until no process but this one is left, sending them signal $1
    while kill "-$1" -1 2>/dev/null; do
        sleep 0.02 # which also sees off those that have ended
    done
}

growing() { # in $delay: 0 for 0 and less, then $first, doubling up to $most, give or take a quarter
    delay=0
    [ "$1" -gt 0 ] || return 0
    delay=$first
    times=$1
    while [ "$times" -gt 1 ] && [ "$delay" -lt "$most" ]; do
        delay=$((delay * 2))
        times=$((times - 1))
    done
    [ "$delay" -lt "$most" ] || delay=$most
    delay=$((delay * (75 + now % 51) / 100))
}

never() { # started again
    report "never $1 $((failures + 1))"
    while [ -z "$stopping" ]; do
        rest 360000
    done
}

trap 'stopping=1; kill -TERM -1 2>/dev/null' TERM

while [ -z "$stopping" ]; do
    report "began $restarts $failures"
    now
    began=$now
    if ! command -v "$1" >/dev/null; then
        printf 'slipway: %s: no such program in the image\n' "$1" >&2
        never "$hopeless"
        break
    fi
    "$@" &
    server=$!
    while :; do # a signal to stop ends `wait`, but not the server
        wait "$server"
        code=$?
        kill -0 "$server" 2>/dev/null || break
    done
    now
    lived=$((now - began))
    [ -n "$stopping" ] && break
    alone KILL # what a life leaves behind must not hold the port
    printf '%s\n' "$mark"
    if [ "$code" -eq "$hopeless" ]; then
        never "$code"
        break
    fi
    restarts=$((restarts + 1))
    if [ "$code" -eq 0 ]; then
        if [ "$lived" -lt "$hastily" ]; then hasty=$((hasty + 1)); else hasty=0; fi
        if [ "$lived" -ge "$healthy" ]; then failures=0; fi
        growing "$((hasty - free))"
    else
        hasty=0
        if [ "$lived" -ge "$healthy" ]; then failures=1; else failures=$((failures + 1)); fi
        growing "$failures"
    fi
    report "ended $code $restarts $failures $delay"
    if [ "$delay" -gt 0 ]; then rest "$delay"; fi
done

alone 0
