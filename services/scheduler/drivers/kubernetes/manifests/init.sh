# The first process of a server's container: starts the server, and starts it again in place when it
# ends cleanly, as servers of one request do. Any other end ends the container with the same code,
# and how soon there is another is for Kubernetes to say.
#
#   init COMMAND ARGUMENT…
#
# Plain POSIX and `sleep`: it has to run in every image that has a shell. Times are in hundredths.

stopping=
hasty=0

trap 'stopping=1; kill -TERM -1 2>/dev/null' HUP INT QUIT TERM USR1 WINCH

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

if ! command -v "$1" >/dev/null; then
    printf 'slipway: %s: no such program in the image\n' "$1" >&2
    exit "$hopeless"
fi

code=0
while [ -z "$stopping" ]; do
    now
    began=$now
    (
        inside
        exec "$@"
    ) &
    server=$!
    [ -z "$stopping" ] || kill -TERM "$server" 2>/dev/null # told before there was a server
    while :; do # a signal to stop ends `wait`, but not the server
        wait "$server"
        code=$?
        kill -0 "$server" 2>/dev/null || break
    done
    [ -z "$stopping" ] || break
    [ "$code" -eq 0 ] && [ -z "$once" ] || exit "$code" # the kernel ends what is left
    now
    alone KILL # what a life leaves behind must not hold the port
    if [ "$((now - began))" -lt "$hastily" ]; then hasty=$((hasty + 1)); else hasty=0; fi
    growing "$((hasty - free))"
    [ "$delay" -eq 0 ] || rest "$delay"
done

alone 0
exit "$code" # which some shells do not know well when a signal and an end came together
