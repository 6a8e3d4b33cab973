import importlib
import os
import sys
import time
from concurrent import futures

import grpc
from hydro_serving_grpc.contract.model_contract_pb2 import ModelContract
from hydro_serving_grpc.tf.api.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)


class RuntimeService(PredictionServiceServicer):
    def __init__(self, model_path, contract):
        self.contract = contract
        sys.path.append(os.path.join(model_path, "files", "src"))
        self.module = importlib.import_module("func_main")

    def Predict(self, request, context):
        function = getattr(self.module, self.contract.predict.signature_name)
        try:
            return function(**request.inputs)
        except Exception as error:
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details(repr(error))
            raise


class RuntimeManager:
    def __init__(self, model_path, port):
        self.port = port
        self.model_path = model_path
        self.server = None
        with open(os.path.join(model_path, "contract.protobin"), "rb") as file:
            contract = ModelContract()
            contract.ParseFromString(file.read())
        self.servicer = RuntimeService(model_path, contract)

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
        add_PredictionServiceServicer_to_server(self.servicer, self.server)
        self.server.add_insecure_port("[::]:" + self.port)
        self.server.start()

    def stop(self):
        self.server.stop(0)


def serve(model_path, port):
    manager = RuntimeManager(model_path, port)
    manager.start()
    try:
        while True:
            time.sleep(60 * 60 * 24)
    except KeyboardInterrupt:
        manager.stop()
