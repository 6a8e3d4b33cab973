"""Serves a model over gRPC inside an image: the function that its `src/func_main.py` has.

Runs on Python 3.8 and newer with grpcio, protobuf and numpy as the only dependencies. The model is
imported before anything listens. One that can't be imported is served all the same: `Status` says
NOT_SERVING and why, so that its owner needs no log to see it.

    APP_PORT        where to listen, 9090 if nothing is said
    MODEL_DIR       has contract.protobin and files/, /model if nothing is said
    MODEL_CALLS     how the function is called, `arrays` or `tensors`; else the image says it
    MODEL_WORKERS   how many calls of it run at once, 10 if nothing is said

Exit code 78 (EX_CONFIG of sysexits.h) means that it can never start; the last line on stderr that
begins with `slipway: ` says why.
"""

import os

# a model that starts a program forks, and gRPC would try to go on in the child
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import slipway_model
from google.protobuf.message import DecodeError
from slipway_model import Model, Refused

NEVER = 78
LARGEST = 256 << 20  # bytes of a message, either way
ENDS = (signal.SIGTERM, signal.SIGINT)
GRACE = 30  # seconds for the calls that run when it is told to stop
WAITING = 64  # calls that may wait for a worker
DETAIL = 1500  # bytes of a status' text: gRPC has 8 KB for all of an answer's trailers, escaped


def options():
    return [
        ("grpc.max_receive_message_length", LARGEST),
        ("grpc.max_send_message_length", LARGEST),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ]


class Service:
    def __init__(self, hs, model):
        self._hs = hs
        self._model = model

    def Predict(self, request, context):
        if not context.is_active():  # nobody waits for it any more
            return self._hs.PredictResponse()
        try:
            return self._model.predict(request.inputs)
        except Refused as refused:
            context.abort(refused.code, shortened(str(refused)))

    def Status(self, request, context):
        status = self._hs.StatusResponse
        if self._model.failure:
            return status(status=status.NOT_SERVING, message=self._model.failure[:DETAIL])
        return status(status=status.SERVING, message="Serving %s" % self._model.name)


def shortened(text):
    data = text.encode("utf-8", "replace")
    return text if len(data) <= DETAIL else data[:DETAIL].decode("utf-8", "ignore") + "..."


def contract_of(hs, folder):
    path = os.path.join(folder, "contract.protobin")
    try:
        with open(path, "rb") as file:
            return hs.ModelContract.FromString(file.read())
    except OSError as error:
        never("%s can't be read: %s" % (path, error.strerror))
    except DecodeError:
        never("%s is no ModelContract" % path)


def calls():
    """How the function is called, as its image says."""
    if "MODEL_CALLS" in os.environ:
        return os.environ["MODEL_CALLS"]
    path = os.environ.get("SLIPWAY_ENDPOINT", "/slipway/endpoint.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file).get("entry", {}).get("calls", "arrays")
    except FileNotFoundError:
        return "arrays"


def number(name, default):
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 1 << 16:
        never("%s is %r, and a number from 1 to 65535 is due" % (name, text))
    return int(text)


def never(reason):
    print("slipway: %s" % reason, file=sys.stderr, flush=True)
    sys.exit(NEVER)


def serve(hs, model, port, workers):
    """Serve `model` until told to stop; what runs then is finished first."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    # not an event set by the handler: a signal that comes just before the wait would not end it
    signal.set_wakeup_fd(tell)
    for sign in ENDS:
        signal.signal(sign, lambda *_: None)
    server = grpc.server(
        ThreadPoolExecutor(workers, "predict"),
        options=options(),
        maximum_concurrent_rpcs=workers + WAITING,
    )
    hs.add_PredictionServiceServicer_to_server(Service(hs, model), server)
    try:
        taken = server.add_insecure_port("0.0.0.0:%d" % port) != port
    except RuntimeError:
        taken = True
    if taken:
        never("the port %d can't be listened on" % port)
    server.start()
    print("slipway: %s on port %d" % (model.name, port), file=sys.stderr, flush=True)
    while os.read(told, 1)[0] not in ENDS:
        pass
    server.stop(GRACE).wait()


def main():
    for sign in ENDS:  # else the first process of a container lives on
        signal.signal(sign, lambda number, _: os._exit(128 + number))
    folder = os.path.abspath(os.environ.get("MODEL_DIR", "/model"))
    port, workers = number("APP_PORT", 9090), number("MODEL_WORKERS", 10)
    files = os.path.join(folder, "files")
    slipway_model.use_paths(files)
    hs = slipway_model.messages()
    model = Model(hs, contract_of(hs, folder), calls())
    if os.path.isdir(files):
        os.chdir(files)
    model.load()
    serve(hs, model, port, workers)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a call that didn't end in time doesn't keep it


if __name__ == "__main__":
    main()
