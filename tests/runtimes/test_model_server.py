"""The server that runs people's models, as a process, called by grpcio."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from shared.contract import Contract, Field
from shared.hydrosphere.dtypes import LAYOUTS, MAP
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import StatusResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.runtimes.conftest import RUNTIMES
from tests.runtimes.model import served, tensor, value, write

SUM = Contract(
    signature="infer",
    inputs=(Field(name="x", dtype="float64", shape=(-1,)),),
    outputs=(Field(name="y", dtype="float64", shape=()),),
)
ONE = tensor("float64", [1.0])

ARRAYS = """
import numpy as np

def infer(x):
    assert isinstance(x, np.ndarray)
    return {"y": x.sum()}
"""

MESSAGES = """
import hydro_serving_grpc as hs

def infer(x):
    y = hs.TensorProto(
        dtype=hs.DT_DOUBLE,
        double_val=[sum(x.double_val)],
        tensor_shape=hs.TensorShapeProto(),
    )
    return hs.PredictResponse(outputs={"y": y})
"""


@pytest.fixture
def serve(tmp_path):
    """`serve(code, contract, MODEL_CALLS="tensors")` is a server of that func_main.py."""
    running = []

    def start(code, contract=SUM, files=(), **environment):
        folder = write(tmp_path / "model", contract, {"src/func_main.py": code, **dict(files)})
        running.append(served(folder, **environment))
        return running[-1]

    yield start
    for server in running:
        server.end()


def refused(server, **inputs):
    with pytest.raises(grpc.RpcError) as raised:
        server.predict(**inputs or {"x": ONE})
    return raised.value.code(), raised.value.details()


def test_a_function_gets_arrays_and_returns_a_dict(serve):
    server = serve(ARRAYS)
    assert value(server.predict(x=tensor("float64", [1, 2, 4]))["y"]) == 7
    assert server.status() == StatusResponse(status=1, message="Serving infer")


def test_a_function_gets_messages_and_returns_one(serve):
    server = serve(MESSAGES, MODEL_CALLS="tensors")
    assert value(server.predict(x=tensor("float64", [1, 2, 4]))["y"]) == 7


def test_the_image_says_how_the_function_is_called(serve, tmp_path):
    (tmp_path / "model").mkdir()
    described = {"entry": {"kind": "model", "calls": "tensors"}}
    (tmp_path / "model" / "endpoint.json").write_text(json.dumps(described))
    assert value(serve(MESSAGES).predict(x=ONE)["y"]) == 1


def test_a_function_that_gets_arrays_may_return_a_message(serve):
    server = serve(MESSAGES.replace("x.double_val", "x"))
    assert value(server.predict(x=ONE)["y"]) == 1


def test_a_function_that_gets_messages_may_return_a_dict(serve):
    code = "def infer(x):\n    return {'y': x.double_val[0]}\n"
    assert value(serve(code, MODEL_CALLS="tensors").predict(x=ONE)["y"]) == 1


def test_a_dict_may_hold_messages(serve):
    code = MESSAGES.replace("hs.PredictResponse(outputs={", "dict(**{").replace("x.double_val", "x")
    assert value(serve(code).predict(x=ONE)["y"]) == 1


def test_the_messages_of_the_models_own_package_are_used(serve, tmp_path):
    own = tmp_path / "model" / "files" / "src" / "hydro_serving_grpc"
    shutil.copytree(RUNTIMES / "hydro_serving_grpc", own)
    (own / "__init__.py").write_text((own / "__init__.py").read_text() + "\nOWN = True\n")
    code = MESSAGES.replace("y = ", "assert hs.OWN and isinstance(x, hs.TensorProto)\n    y = ")
    assert value(serve(code, MODEL_CALLS="tensors").predict(x=ONE)["y"]) == 1


def test_a_package_of_that_name_without_messages_is_no_hindrance(serve):
    code = "import hydro_serving_grpc\n\ndef infer(x):\n    return {'y': x.double_val[0]}\n"
    files = {"src/hydro_serving_grpc.py": "X = 1\n"}
    assert value(serve(code, files=files, MODEL_CALLS="tensors").predict(x=ONE)["y"]) == 1


def test_names_that_python_has_not_reach_a_function_that_takes_all(serve):
    contract = Contract(
        inputs=(Field(name="capital-gain", dtype="int64", shape=()),),
        outputs=(Field(name="a-b", dtype="int64", shape=()),),
    )
    server = serve("def Predict(**kwargs):\n    return {'a-b': kwargs['capital-gain']}\n", contract)
    assert server.predict(**{"capital-gain": tensor("int64", 3)})["a-b"] == tensor("int64", 3)


def test_the_model_finds_its_files_and_modules(serve):
    code = "import beside\n\ndef infer(x):\n    return {'y': float(open('weights.txt').read())}\n"
    server = serve(code, files={"weights.txt": "2.5", "src/beside.py": ""})
    assert value(server.predict(x=ONE)["y"]) == 2.5


def test_inputs_and_outputs_beyond_the_contract_are_left_out(serve):
    server = serve("def infer(x):\n    return {'y': 1, 'z': object()}\n")
    assert set(server.predict(x=ONE, more=ONE)) == {"y"}


# what the model makes of it, the type that is due -> what comes out
NATURAL = [
    ("3", "float64", 3.0),
    ("3", "int8", 3),
    ("True", "bool", True),
    ("True", "uint8", 1),
    ("1", "bool", True),
    ("0.1", "float32", 0.1),
    ("0.5", "float16", 0.5),
    ("2.0", "int64", 2),
    ("2", "qint32", 2),
    ("1", "complex64", 1 + 0j),
    ("1.5 - 2j", "complex128", 1.5 - 2j),
    ("'Zoë'", "string", "Zoë"),
    ("b'bytes'", "string", "bytes"),
    ("['a\\0', 'b']", "string", ["a\0", "b"]),
    ("np.array([['a', 'b']])", "string", [["a", "b"]]),
    ("[[1, 2], [3, 4]]", "uint16", [[1, 2], [3, 4]]),
    ("(1, 2)", "float32", [1, 2]),
    ("np.arange(4)[::2]", "uint64", [0, 2]),
    ("np.array([1, 2], '>i4')", "int32", [1, 2]),
    ("np.array([1, 2.0], object)", "float64", [1, 2]),
    ("float('inf')", "float32", float("inf")),
    ("2**64 - 1", "uint64", 2**64 - 1),
    ("[]", "float32", []),
]

UNFIT = [
    ("2.5", "int64", "is not whole, and int64 is due"),
    ("float('nan')", "int64", "is not whole, and int64 is due"),
    ("300", "uint8", "has elements that uint8 can't be"),
    ("-1", "uint64", "has elements that uint64 can't be"),
    ("2.0**63", "int64", "has elements that int64 can't be"),
    ("2**70", "int64", "is of the type int, which is no array of numbers"),
    ("1e300", "float32", "is too large for float32"),
    ("70000", "float16", "is too large for float16"),
    ("1j", "float64", "is complex, and float64 is due"),
    ("2", "bool", "has other elements than 0 and 1, and bool is due"),
    ("'1'", "int64", "is of the type str, which is no array of numbers"),
    ("None", "float64", "is of the type NoneType, which is no array of numbers"),
    ("{'a': 1}", "float64", "is of the type dict, which is no array of numbers"),
    ("[[1], [1, 2]]", "float64", "is of the type list"),
    ("1", "string", "holds something of the type int, and string is due"),
    ("'\\ud800'", "string", "holds a string that can't be UTF-8"),
    ("1", "variant", "is of the type int, and only a TensorProto is a variant"),
]


@pytest.fixture(scope="module")
def makes(tmp_path_factory):
    """A model that returns whatever it is told, as the type that it is told."""
    types = sorted(LAYOUTS)
    contract = Contract(
        signature="make",
        inputs=(Field(name="made", dtype="string", shape=()),),
        outputs=(Field(name="m", fields=tuple(Field(name=name, dtype=name) for name in types)),),
    )
    code = f"""
import numpy as np
import hydro_serving_grpc as hs

TYPES = {types!r}

def make(made):
    wanted, _, text = str(made).partition(" ")
    found = {{name: hs.TensorProto() for name in TYPES}}
    found[wanted] = eval(text)
    return {{"m": found}}
"""
    folder = write(tmp_path_factory.mktemp("makes"), contract, {"src/func_main.py": code})
    server = served(folder)
    yield lambda text, wanted: server.predict(made=tensor("string", f"{wanted} {text}"))["m"]
    server.end()


@pytest.mark.parametrize(("text", "wanted", "expected"), NATURAL, ids=lambda each: str(each)[:20])
def test_what_a_model_returns_becomes_what_its_contract_says(makes, text, wanted, expected):
    assert makes(text, wanted).map_val[wanted] == tensor(wanted, expected)


@pytest.mark.parametrize(("text", "wanted", "reason"), UNFIT, ids=lambda each: str(each)[:20])
def test_what_can_not_become_it_is_named(makes, text, wanted, reason):
    with pytest.raises(grpc.RpcError) as raised:
        makes(text, wanted)
    assert raised.value.code() is grpc.StatusCode.OUT_OF_RANGE
    where = f"The output of make has the field 'm', which has the field '{wanted}', which "
    assert raised.value.details().startswith(where + reason)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("{}", "has no 'y' field"),
        ("hs.PredictResponse()", "has no 'y' field"),
        ("None", "is of the type NoneType, and a dict or a PredictResponse is due"),
        ("[1]", "is of the type list, and a dict or a PredictResponse is due"),
    ],
)
def test_an_answer_without_an_output_names_it(serve, returned, reason):
    server = serve(f"import hydro_serving_grpc as hs\n\ndef infer(x):\n    return {returned}\n")
    assert refused(server) == (grpc.StatusCode.OUT_OF_RANGE, f"The output of infer {reason}")


def test_an_answer_that_can_not_be_looked_at_is_the_models_error(serve):
    code = """
class Odd(dict):
    def __contains__(self, name):
        raise RuntimeError("not today")

def infer(x):
    return Odd()
"""
    assert refused(serve(code)) == (grpc.StatusCode.INTERNAL, "RuntimeError('not today')")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ValueError('no such claim')", "ValueError('no such claim')"),
        ("SystemExit(3)", "SystemExit(3)"),
        ("Odd()", "Odd"),
    ],
)
def test_what_a_model_raises_is_said(serve, raised, said):
    odd = "class Odd(Exception):\n    def __repr__(self):\n        raise RuntimeError\n\n"
    server = serve(f"{odd}def infer(x):\n    raise {raised}\n")
    assert refused(server) == (grpc.StatusCode.INTERNAL, said)
    assert server.status().status == StatusResponse.SERVING
    assert "Traceback" in server.end()[1]


def test_a_long_story_is_shortened(serve):
    server = serve("def infer(x):\n    raise ValueError('é' * 1_000_000)\n")
    code, details = refused(server)
    assert code is grpc.StatusCode.INTERNAL
    assert details.startswith("ValueError('éé")
    assert details.endswith("é...")
    assert len(details.encode()) < 2000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere", "ModuleNotFoundError(\"No module named 'nowhere'\")"),
        ("def infer(x:", "SyntaxError("),
        ("raise RuntimeError('weights are gone')", "RuntimeError('weights are gone')"),
        ("import sys\nsys.exit(1)", "SystemExit(1)"),
        (
            "def other(x):\n    return {}",
            "AttributeError(\"func_main has no function 'infer', which is the name of the contract; "
            'it has: other")',
        ),
        ("infer = 3", 'TypeError("func_main.infer can\'t be called")'),
    ],
)
def test_a_model_that_can_not_be_imported_says_why(serve, code, reason):
    server = serve(code)
    why = f"func_main is not imported due to error: {reason}"
    found = server.status()
    assert found.status == StatusResponse.NOT_SERVING
    assert found.message.startswith(why)
    status, details = refused(server)
    assert status is grpc.StatusCode.INTERNAL
    assert details.startswith(why)


def bare(**fields):
    return TensorProto(**fields)


def shaped(given, *sizes):
    del given.tensor_shape.dim[:]
    for size in sizes:
        given.tensor_shape.dim.add(size=size)
    return given


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (shaped(tensor("float64", [1, 2]), 3), "has 2 elements, and its shape is [3]"),
        (shaped(tensor("float64", [1, 2])), "has 2 elements, and its shape is scalar"),
        (shaped(tensor("float64", []), 1 << 40, 1 << 40), "has 0 elements, and its shape is"),
        (shaped(tensor("float64", []), 0, 1 << 62, 1 << 62), "has 0 elements, and its shape is"),
        (shaped(tensor("float64", [1]), *[1] * 1000), "has 1 elements, and its shape is"),
        (shaped(tensor("float64", [1]), -2), "has 1 elements, and its shape is [-2]"),
        (
            shaped(tensor("float64", [1]), -1, -1),
            "has the shape [-1, -1], which leaves more than one dimension open",
        ),
        (bare(dtype=14), "is of the type 14, which is not supported"),
        (bare(dtype=99), "is of the type 99, which is not supported"),
        (bare(), "is of the type 0, which is not supported"),
        (bare(dtype=2, tensor_content=b"123"), "has 3 bytes, and float64 has 8"),
        (bare(dtype=8, scomplex_val=[1]), "has 4 bytes, and complex64 has 8"),
        (bare(dtype=6, int_val=[200]), "has elements that int8 can't be"),
        (bare(dtype=19, half_val=[-1]), "has elements that float16 can't be"),
        (bare(dtype=7, string_val=[b"\xff"]), "has a string that is not UTF-8"),
        (bare(dtype=7, tensor_content=b"a"), "has strings as `tensor_content`"),
        (bare(dtype=MAP, map_val={"a": bare(dtype=99)}), "is of the type 99"),
    ],
    ids=lambda each: str(each)[:30] if isinstance(each, str) else "",
)
def test_an_input_that_is_no_tensor_is_named(sums, given, reason):
    code, details = refused(sums, x=given)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(f"'x' {reason}")


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    server = served(write(tmp_path_factory.mktemp("sums"), SUM, {"src/func_main.py": ARRAYS}))
    yield server
    server.end()


def test_an_input_that_is_not_there_is_named(sums):
    answer = (grpc.StatusCode.INVALID_ARGUMENT, "Missing 'x' field")
    assert refused(sums, z=ONE) == answer


def test_bytes_that_are_no_request_are_refused(sums):
    call = sums.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError):
        call(b"\xff\xff", timeout=60, wait_for_ready=True)
    assert value(sums.predict(x=ONE)["y"]) == 1


@pytest.mark.parametrize(("environment", "at_once"), [({}, 10), ({"MODEL_WORKERS": "2"}, 2)])
def test_as_many_calls_run_at_once_as_there_are_workers(serve, environment, at_once):
    code = f"""
import threading
together = threading.Barrier({at_once})

def infer(x):
    together.wait(60)
    return {{"y": 1}}
"""
    server = serve(code, **environment)
    with ThreadPoolExecutor(at_once) as pool:
        answers = [pool.submit(server.predict, x=ONE) for _ in range(at_once)]
        assert [value(answer.result()["y"]) for answer in answers] == [1] * at_once


def test_what_runs_when_it_is_told_to_stop_is_finished(serve):
    code = """
import os, signal, time

def infer(x):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    return {"y": 5}
"""
    server = serve(code)
    assert value(server.predict(x=ONE)["y"]) == 5
    assert server.process.wait(60) == 0


def test_it_ends_at_once_while_the_model_is_still_imported(serve):
    server = serve(
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(600)"
    )
    assert server.process.stderr.readline() == "importing\n"
    assert server.end()[0] == 128 + signal.SIGTERM


def test_what_it_can_never_start_with_is_said(serve, tmp_path):
    server = serve(ARRAYS, APP_PORT="http")
    code, said = server.process.wait(60), server.process.stderr.read()
    assert (code, said) == (
        78,
        "slipway: APP_PORT is 'http', and a number from 1 to 65535 is due\n",
    )
    (tmp_path / "model" / "contract.protobin").write_bytes(b"\xff")
    server = served(tmp_path / "model")
    assert server.process.wait(60) == 78
    assert server.end()[1] == f"slipway: {tmp_path}/model/contract.protobin is no ModelContract\n"
    (tmp_path / "model" / "contract.protobin").unlink()
    server = served(tmp_path / "model")
    assert server.process.wait(60) == 78
    said = f"slipway: {tmp_path}/model/contract.protobin can't be read: No such file or directory\n"
    assert server.end()[1] == said


def test_a_port_that_is_taken_is_said(serve):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        server = serve(ARRAYS, APP_PORT=str(port))
        assert server.process.wait(60) == 78
        assert f"slipway: the port {port} can't be listened on\n" in server.end()[1]
