# The first process of a replica's container: starts the server, starts it again when it ends, and
# says so in reports, lines that begin with a mark that only the driver knows. It lives as long as
# the container does, so the server is kept alive whether or not anybody looks on.
#
#   init MARK COMMAND ARGUMENT…
#
# With $_once it runs a command to its end, says how that was, and ends.
#
# Plain POSIX and `sleep`: it has to run in every image that has a shell. Times are in hundredths.
# Its variables begin with `_`, or it would change those of the server that have the same names.

_mark=$1
shift
_stopping=
_restarts=0
_failures=0
_hasty=0

report() {
    printf '%s %s\n' "$_mark" "$*" >&2
}

now() { # in $_now
    read -r _up _idle </proc/uptime
    _now=${_up%.*}${_up#*.}
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

growing() { # in $_delay: 0 for 0 and less, then $_first, doubling up to $_most, give or take a quarter
    _delay=0
    [ "$1" -gt 0 ] || return 0
    _delay=$_first
    _times=$1
    while [ "$_times" -gt 1 ] && [ "$_delay" -lt "$_most" ]; do
        _delay=$((_delay * 2))
        _times=$((_times - 1))
    done
    [ "$_delay" -lt "$_most" ] || _delay=$_most
    _delay=$((_delay * (75 + _now % 51) / 100))
}

never() { # started again
    report "never $1 $((_failures + 1))"
    while [ -z "$_stopping" ]; do
        rest 360000
    done
}

trap '_stopping=1; kill -TERM -1 2>/dev/null' TERM

while [ -z "$_stopping" ]; do
    report "began $_restarts $_failures"
    now
    _began=$_now
    if ! command -v "$1" >/dev/null; then
        printf 'slipway: %s: no such program in the image\n' "$1" >&2
        never "$_hopeless"
        break
    fi
    "$@" &
    _server=$!
    while :; do # a signal to stop ends `wait`, but not the server
        wait "$_server"
        _code=$?
        kill -0 "$_server" 2>/dev/null || break
    done
    now
    _lived=$((_now - _began))
    [ -n "$_stopping" ] && break
    alone KILL # what a life leaves behind must not hold the port
    printf '%s\n' "$_mark"
    if [ -n "$_once" ]; then
        report "done $_code"
        break
    fi
    if [ "$_code" -eq "$_hopeless" ]; then
        never "$_code"
        break
    fi
    _restarts=$((_restarts + 1))
    if [ "$_code" -eq 0 ]; then
        if [ "$_lived" -lt "$_hastily" ]; then _hasty=$((_hasty + 1)); else _hasty=0; fi
        if [ "$_lived" -ge "$_healthy" ]; then _failures=0; fi
        growing "$((_hasty - _free))"
    else
        _hasty=0
        if [ "$_lived" -ge "$_healthy" ]; then _failures=1; else _failures=$((_failures + 1)); fi
        growing "$_failures"
    fi
    report "ended $_code $_restarts $_failures $_delay"
    if [ "$_delay" -gt 0 ]; then rest "$_delay"; fi
done

alone 0
