"""The modules of this package: `tf.tensor_pb2`, `tf.api.prediction_service_pb2_grpc` and so on.

Each is what the compilers of protobuf and gRPC would have written for its .proto file. A folder has
the names of all of its modules, and the package those of all folders but the gateway's.
"""

import sys
from types import ModuleType

from google.protobuf import descriptor_pb2, empty_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal import builder

from ._files import FILES
from ._services import service_names

KNOWN = (empty_pb2, wrappers_pb2)


def fill(package, names):
    """Make the modules of `package`, whose own names are `names`, and put them in their places."""
    pool = DescriptorPool()
    for known in KNOWN:
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        # some protobufs end the process at a field whose class nobody has made
        described = pool.FindFileByName(known.DESCRIPTOR.name)
        builder.BuildTopDescriptorsAndMessages(described, known.__name__, {})
    classes = {"google.protobuf.Empty": empty_pb2.Empty}
    for file in descriptor_pb2.FileDescriptorSet.FromString(FILES).file:
        pool.AddSerializedFile(file.SerializeToString())
        described = pool.FindFileByName(file.name)
        parts = file.name[: -len(".proto")].split("/")[1:]
        folder = _folder(package, parts[:-1])
        module = _module("%s.%s_pb2" % (folder.__name__, parts[-1]), folder)
        module.DESCRIPTOR = described
        builder.BuildTopDescriptorsAndMessages(described, module.__name__, vars(module))
        for name, message in described.message_types_by_name.items():
            classes[message.full_name] = getattr(module, name)
        offered = [module]
        if described.services_by_name:
            module = _module("%s.%s_pb2_grpc" % (folder.__name__, parts[-1]), folder)
            for service in described.services_by_name.values():
                vars(module).update(service_names(service, classes))
            offered.append(module)
        for module in offered:
            public = {name: it for name, it in vars(module).items() if not name.startswith("_")}
            public.pop("DESCRIPTOR", None)
            vars(folder).update(public)
            if parts[0] != "gateway":
                names.update(public)


def _folder(package, parts):
    folder = sys.modules[package]
    for part in parts:
        name = "%s.%s" % (folder.__name__, part)
        folder = sys.modules.get(name) or _module(name, folder, is_package=True)
    return folder


def _module(name, parent, is_package=False):
    module = ModuleType(name)
    module.__package__ = name if is_package else parent.__name__
    if is_package:
        module.__path__ = []
    sys.modules[name] = module
    setattr(parent, name.rpartition(".")[2], module)
    return module
