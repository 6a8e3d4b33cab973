"""What models import to speak Hydrosphere's messages, with nothing of Hydrosphere's installed.

    import hydro_serving_grpc as hs
    hs.TensorProto(dtype=hs.DT_DOUBLE, double_val=[0.5], tensor_shape=hs.TensorShapeProto())

Names, modules and bytes are those of the 2.4 protocol. The classes are made while this is imported,
by whatever protobuf there is, from 3.20 on. They are in a pool of their own, so that code of other
packages for the same names (tensorflow-serving-api, say) may be in the same process.
"""

from . import _modules

_modules.fill(__name__, globals())
