"""The messages that models, runtimes and clients exchange, and their classes.

`hydro_serving_grpc/` is the protocol of Hydrosphere 2.4, in files whose paths, packages, names and
numbers are those that its users know, so that anybody can generate code from them.
`inference.proto` is the Open Inference Protocol. `make protos` writes the modules beside them.
"""
