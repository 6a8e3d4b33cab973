"""The Open Inference Protocol over HTTP, on a router with real runtimes behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import numpy as np
import pytest

from services.router.gateway.aside import Aside
from services.router.gateway.intake import Room
from services.router.gateway.tensors import make
from shared.contract import Contract, Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from tests.router.conftest import route
from tests.router.models import Doors, Outputs, doors, runtime, same
from tests.router.origin import ok, origin

X = Field(name="x", dtype="float32", shape=(-1, 2))


@pytest.fixture
async def router() -> AsyncIterator[Doors]:
    async with doors() as found:
        yield found


@pytest.fixture
async def http(router: Doors) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{router.http.port}") as found:
        yield found


async def get(http: aiohttp.ClientSession, path: str) -> tuple[int, object]:
    async with http.get(path) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def infer(
    http: aiohttp.ClientSession, asked: object, name: str = "model-1", **headers: str
) -> tuple[int, dict]:
    body = asked if isinstance(asked, bytes) else msgspec.json.encode(asked)
    async with http.post(f"/v2/models/{name}/infer", data=body, headers=headers) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return answer.status, await answer.json()


def x(data: object, shape: list[int], datatype: str = "FP32") -> dict:
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]}


async def test_the_server_says_what_it_is(router: Doors, http: aiohttp.ClientSession) -> None:
    server = {"name": "slipway", "version": "2", "extensions": ["binary_tensor_data"]}
    for path in ("/v2", "/v2/", "/v2?x=1"):
        assert await get(http, path) == (200, server)
    assert await get(http, "/v2/health/live") == (200, {"live": True})
    assert await get(http, "/v2/health/ready") == (200, {"live": True, "ready": True})
    router.unready.append("the routes are not known yet")
    assert await get(http, "/v2/health/live") == (200, {"live": True})
    assert await get(http, "/v2/health/ready") == (503, {"live": True, "ready": False})


async def test_a_model_says_what_it_is(router: Doors, http: aiohttp.ClientSession) -> None:
    job = router.servable("claims-2-calm-owl", same(X), "http://127.0.0.1:1", version="2")
    router.application("claims", job, revision=5)
    tensors = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    for path in ("/v2/models/claims", "/v2/models/claims/versions/5"):
        assert await get(http, path) == (
            200,
            {
                "name": "claims",
                "versions": ["5"],
                "platform": "slipway_application",
                "inputs": tensors,
                "outputs": tensors,
            },
        )
        assert await get(http, f"{path}/ready") == (200, {"name": "claims", "ready": True})
    status, servable = await get(http, "/v2/models/claims-2-calm-owl/versions/2")
    assert (status, servable["platform"]) == (200, "slipway_servable")
    router.table.close(job, 1)
    assert await get(http, "/v2/models/claims/ready") == (503, {"name": "claims", "ready": False})


async def test_what_is_not_there_is_said_so(router: Doors, http: aiohttp.ClientSession) -> None:
    router.servable("claims-2-calm-owl", same(X), "http://127.0.0.1:1", version="2")
    for path, text in {
        "/v2/models/nobody": "There is no model 'nobody'",
        "/v2/models/nobody/ready": "There is no model 'nobody'",
        "/v2/models/claims-2-calm-owl/versions/3": (
            "'claims-2-calm-owl' has no version '3': its version is 2"
        ),
        "/v2/models": "Nothing of this protocol has this address",
        "/v2/models/a/b/c/d/e": "Nothing of this protocol has this address",
        "/v2/nothing": "Nothing of this protocol has this address",
        "/v2/models/%ff%2f": "There is no model '\ufffd/'",
    }.items():
        assert await get(http, path) == (404, {"error": text})


async def test_who_can_not_answer_yet_says_when_to_ask_again(
    router: Doors, http: aiohttp.ClientSession
) -> None:
    router.application("claims")
    async with http.post("/v2/models/claims/infer", json=x([1, 2], [1, 2])) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "2"
        assert "waits for claims:1" in (await answer.json())["error"]


async def test_methods_are_those_of_the_protocol(
    router: Doors, http: aiohttp.ClientSession
) -> None:
    for method, path in (
        ("POST", "/v2"),
        ("GET", "/v2/models/m/infer"),
        ("DELETE", "/v2/models/m"),
    ):
        async with http.request(method, path) as answer:
            assert answer.status == 405
            assert "can be asked for here" in (await answer.json())["error"]
    async with http.head("/v2/health/live") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with http.options("/v2/models/m/infer") as answer:
        assert answer.status == 204
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_a_request_in_json_is_answered_in_json(
    router: Doors, http: aiohttp.ClientSession
) -> None:
    async with runtime() as address:
        job = router.servable("model-1", same(X), address)
        router.application("claims", job, job, revision=3)
        answer = {
            "model_name": "claims",
            "model_version": "3",
            "id": "42",
            "outputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}],
        }
        for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
            assert await infer(http, {**x(data, [2, 2]), "id": "42"}, "claims") == (200, answer)
        asked = {**x([1, 2, 3, 4], [2, 2]), "id": "42", "parameters": {"priority": 3}}
        assert await infer(http, asked, "claims/versions/3") == (200, answer)
        status, said = await infer(http, asked, "claims/versions/2")
        assert (status, "no version '2'" in said["error"]) == (404, True)


ARRAYS = {
    "BOOL": np.array([True, False]),
    "FP16": np.array([1.5, np.inf], np.float16),
    "FP32": np.array([0.1, np.nan], np.float32),
    "FP64": np.array([0.1, -np.inf]),
    **{
        f"{sign}INT{bits}": np.array(
            [1, np.iinfo(f"{sign}int{bits}".lower()).max], f"{sign}int{bits}".lower()
        )
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
}
OURS = {"FP16": "float16", "FP32": "float32", "FP64": "float64"}
BINARY = {"binary_data_output": True}


@pytest.mark.parametrize("datatype", ARRAYS)
async def test_an_array_of_every_datatype_comes_back_as_bytes_and_as_json(
    datatype: str, router: Doors, http: aiohttp.ClientSession
) -> None:
    array = ARRAYS[datatype]
    field = Field(name="x", dtype=OURS.get(datatype, datatype.lower()), shape=(2,))
    raw = array.tobytes()
    tensor = {
        "name": "x",
        "datatype": datatype,
        "shape": [2],
        "parameters": {"binary_data_size": len(raw)},
    }
    async with runtime() as address:
        router.servable("model-1", same(field), address)
        head = msgspec.json.encode({"inputs": [tensor], "parameters": BINARY})
        headers = {"Inference-Header-Content-Length": str(len(head))}
        async with http.post(
            "/v2/models/model-1/infer", data=head + raw, headers=headers
        ) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/octet-stream"
            body = await answer.read()
            size = int(answer.headers["Inference-Header-Content-Length"])
        assert msgspec.json.decode(body[:size])["outputs"] == [tensor]
        assert body[size:] == raw
        head = msgspec.json.encode({"inputs": [tensor]})
        status, said = await infer(
            http, head + raw, **{"Inference-Header-Content-Length": str(len(head))}
        )
    assert status == 200
    data = [float(one) if isinstance(one, str) else one for one in said["outputs"][0]["data"]]
    assert np.array_equal(np.array(data, array.dtype), array, equal_nan=datatype.startswith("F"))


async def test_texts_come_back_as_texts(router: Doors, http: aiohttp.ClientSession) -> None:
    field = Field(name="x", dtype="string", shape=())
    async with runtime() as address:
        router.servable("model-1", same(field), address)
        _, said = await infer(http, x("Grüße", [], "BYTES"))
    assert said["outputs"] == [{"name": "x", "datatype": "BYTES", "shape": [], "data": ["Grüße"]}]


async def test_outputs_come_as_each_is_wanted(router: Doors, http: aiohttp.ClientSession) -> None:
    async def model(asked: PredictRequest, _: object) -> Outputs:
        one = asked.inputs["x"]
        return {"x": one, "y": one, "odd": make("complex64", [1, 2], ())}

    outputs = (X, Field(name="y", dtype="float32"), Field(name="odd", dtype="complex64"))
    wanted = [{"name": "y", "parameters": {"binary_data": True}}, {"name": "x"}]
    async with runtime(model) as address:
        router.servable("model-1", Contract(inputs=(X,), outputs=outputs), address)
        asked = {**x([1, 2], [1, 2]), "outputs": wanted}
        async with http.post("/v2/models/model-1/infer", json=asked) as answer:
            body = await answer.read()
            size = int(answer.headers["Inference-Header-Content-Length"])
        assert body[size:] == np.array([1, 2], np.float32).tobytes()
        names = [
            (one["name"], "data" in one) for one in msgspec.json.decode(body[:size])["outputs"]
        ]
        assert names == [("y", False), ("x", True)]
        status, said = await infer(http, x([1, 2], [1, 2]))
        assert (status, "'odd' is COMPLEX64" in said["error"]) == (400, True)
        status, said = await infer(http, {**asked, "outputs": [{"name": "w"}]})
        assert (status, said["error"]) == (
            400,
            "outputs: there is no output 'w'; there are 'x', 'y', 'odd'",
        )


async def test_what_breaks_the_contract_is_said(router: Doors, http: aiohttp.ClientSession) -> None:
    async with runtime() as address:
        router.servable("model-1", same(X), address)
        status, said = await infer(http, x([1, 2, 3], [1, 3]))
        assert status == 400
        assert said["error"].startswith("Multiple validation errors:\n")
        status, said = await infer(http, x([1, 2], [1, 2], "INT8"))
        assert (status, said["error"]) == (400, "inputs[0].datatype: 'x' is FP32, and INT8 came")


async def test_a_model_that_lies_is_at_fault(router: Doors, http: aiohttp.ClientSession) -> None:
    async def model(*_: object) -> Outputs:
        return {"x": make("int64", [1], (1,))}

    async with runtime(model) as address:
        router.servable("model-1", same(X), address)
        status, said = await infer(http, x([1, 2], [1, 2]))
    assert status == 502
    assert "broke its contract" in said["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "wrong"),
    [
        (b"", {}, 400, "The request has no body"),
        (b"{", {}, 400, "This is not JSON"),
        (b"{}", {"Inference-Header-Content-Length": "x"}, 400, "must be one plain number"),
        (b"{}", {"Inference-Header-Content-Length": "3"}, 400, "the body has 2 bytes"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "must be one plain number"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "only `identity` is understood"),
        (b"x" * 2000, {}, 413, "larger than the 1000 bytes allowed"),
        (b"[" * 900, {}, 400, "Expected `object`, got `array`"),
    ],
)
async def test_what_is_no_request_is_refused(
    body: bytes, headers: dict[str, str], status: int, wrong: str
) -> None:
    async with (
        doors(room=Room(body=1000)) as router,
        aiohttp.ClientSession(f"http://127.0.0.1:{router.http.port}") as http,
    ):
        router.servable("model-1", same(X), "http://127.0.0.1:1")
        found, said = await infer(http, body, **headers)
        assert (found, wrong in said["error"]) == (status, True), said


async def test_a_body_may_come_in_pieces(router: Doors, http: aiohttp.ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in msgspec.json.encode(x([1, 2], [1, 2])):
            yield bytes([byte])

    async with runtime() as address:
        router.servable("model-1", same(X), address)
        async with http.post("/v2/models/model-1/infer", data=pieces()) as answer:
            assert answer.status == 200


async def test_what_is_large_is_read_and_written_aside_and_is_the_same() -> None:
    array = np.arange(8, dtype=np.int64).reshape(4, 2)
    field = Field(name="x", dtype="int64", shape=(-1, 2))
    outputs = (field, Field(name="y", dtype="int64"))

    async def model(asked: PredictRequest, _: object) -> Outputs:
        return {"x": asked.inputs["x"], "y": asked.inputs["x"]}

    answers = []
    for aside in (Aside(), Aside(large=10, many=4)):
        async with (
            doors(aside=aside) as router,
            aiohttp.ClientSession(f"http://127.0.0.1:{router.http.port}") as http,
            runtime(model) as address,
        ):
            contract = Contract(inputs=(field,), outputs=outputs)
            router.servable("model-1", contract, address)
            wanted = [{"name": "y", "parameters": {"binary_data": True}}, {"name": "x"}]
            asked = {**x(array.tolist(), [4, 2], "INT64"), "id": "42", "outputs": wanted}
            async with http.post("/v2/models/model-1/infer", json=asked) as answer:
                size = answer.headers["Inference-Header-Content-Length"]
                answers.append((answer.status, size, await answer.read()))
            answers.append(await infer(http, x([1, 2, 3], [4, 2], "INT64")))
            answers.append(await infer(http, x([1, 2], [1, 2], "FP32")))
            answers.append(await infer(http, {**asked, "outputs": [{"name": "w"}]}))
    assert answers[:4] == answers[4:]
    assert [answer[0] for answer in answers] == [200, 400, 400, 400] * 2
    assert answers[0][2].endswith(array.tobytes())


async def test_lists_by_the_thousand_are_read_aside() -> None:
    field, aside = Field(name="x", dtype="float32", shape=None), Aside()
    async with (
        doors(aside=aside) as router,
        aiohttp.ClientSession(f"http://127.0.0.1:{router.http.port}") as http,
        runtime() as address,
    ):
        router.servable("model-1", same(field), address)
        assert (await infer(http, x([[1.0]] * 1000, [1000, 1])))[0] == 200
        assert aside._process is None
        assert (await infer(http, x([[1.0]] * 150_000, [150_000, 1])))[0] == 200
        assert aside._process is not None
        await aside.close()


async def test_on_a_jobs_own_host_every_page_is_its(
    router: Doors, http: aiohttp.ClientSession
) -> None:
    async with origin(ok(b"mine")) as found:
        router.table.put([route(addresses=(found.address,))])
        headers = {"Host": "j000000000001.localhost"}
        async with http.get("/v2/health/live", headers=headers) as answer:
            assert await answer.read() == b"mine"


async def test_outputs_that_only_another_model_of_the_stage_gives_are_left_out(
    router: Doors, http: aiohttp.ClientSession
) -> None:
    more = Contract(inputs=(X,), outputs=(X, msgspec.structs.replace(X, name="more")))
    async with runtime() as address:
        one = router.servable("model-1", same(X), address)
        two = router.servable("model-2", more, address)
        router.application("claims", one, shadow=two)
        asked = x([1, 2], [1, 2])
        status, said = await infer(http, asked, "claims")
        assert (status, [each["name"] for each in said["outputs"]]) == (200, ["x"])
        status, said = await infer(http, {**asked, "outputs": [{"name": "more"}]}, "claims")
        assert (status, "gives no 'more'" in said["error"]) == (502, True)
