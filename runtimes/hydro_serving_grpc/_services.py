"""Stub, servicer and registration of a gRPC service, as gRPC's compiler writes them."""

import grpc


def service_names(service, classes):
    """By name: `XStub`, `XServicer` and `add_XServicer_to_server` for the service `X`.

    `classes` has the class of each message by its full name.
    """
    methods = [
        (method.name, classes[method.input_type.full_name], classes[method.output_type.full_name])
        for method in service.methods
    ]
    name, path = service.name, service.full_name
    return {
        name + "Stub": _stub(name, path, methods),
        name + "Servicer": _servicer(name, methods),
        "add_%sServicer_to_server" % name: _registration(path, methods),
    }


def _written(message):
    """The bytes of a message of whatever class: `Empty` has one in each pool."""
    return message.SerializeToString()


def _stub(name, path, methods):
    def __init__(self, channel):
        for method, _, answer in methods:
            call = channel.unary_unary(
                "/%s/%s" % (path, method),
                request_serializer=_written,
                response_deserializer=answer.FromString,
            )
            setattr(self, method, call)

    return type(name + "Stub", (), {"__init__": __init__})


def _servicer(name, methods):
    def unimplemented(self, request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")

    return type(name + "Servicer", (), {method: unimplemented for method, _, _ in methods})


def _registration(path, methods):
    def add(servicer, server):
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                getattr(servicer, method),
                request_deserializer=request.FromString,
                response_serializer=_written,
            )
            for method, request, _ in methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(path, handlers),))

    return add
