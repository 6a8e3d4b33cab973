# The first process of a server's container: starts the server, and starts it again in place when it
# ends cleanly, as servers of one request do. Any other end ends the container with the same code,
# and how soon there is another is for Kubernetes to say.
#
#   init COMMAND ARGUMENT…
#
# Plain POSIX and `sleep`: it has to run in every image that has a shell. Times are in hundredths.
# Its variables begin with `_`, or it would change those of the server that have the same names.

_stopping=
_hasty=0

trap '_stopping=1; kill -TERM -1 2>/dev/null' HUP INT QUIT TERM USR1 WINCH

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

if ! command -v "$1" >/dev/null; then
    printf 'slipway: %s: no such program in the image\n' "$1" >&2
    exit "$_hopeless"
fi

_code=0
while [ -z "$_stopping" ]; do
    now
    _began=$_now
    (
        inside
        exec "$@"
    ) &
    _server=$!
    [ -z "$_stopping" ] || kill -TERM "$_server" 2>/dev/null # told before there was a server
    while :; do # a signal to stop ends `wait`, but not the server
        wait "$_server"
        _code=$?
        kill -0 "$_server" 2>/dev/null || break
    done
    [ -z "$_stopping" ] || break
    [ "$_code" -eq 0 ] && [ -z "$_once" ] || exit "$_code" # the kernel ends what is left
    now
    alone KILL # what a life leaves behind must not hold the port
    if [ "$((_now - _began))" -lt "$_hastily" ]; then _hasty=$((_hasty + 1)); else _hasty=0; fi
    growing "$((_hasty - _free))"
    [ "$_delay" -eq 0 ] || rest "$_delay"
done

alone 0
exit "$_code" # which some shells do not know well when a signal and an end came together
