"""The model that its owner wrote: the function of src/func_main.py that the contract names.

It is called with the inputs by keyword, as numpy's arrays and scalars ("arrays") or as TensorProto
messages ("tensors"). It returns a dict by output or a PredictResponse, however it was called.
Whatever it does, the answer is a PredictResponse or Refused.
"""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Mapping

from grpc import StatusCode
from slipway_arrays import NotATensor, array_of
from slipway_tensors import NotConvertible, message_of, tensors_of

HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGES = "hydro_serving_grpc"
LINES = 8 << 10  # characters of a report's beginning, and of its end


class Refused(Exception):
    """There is no answer; `code` and the text say why, as gRPC has it."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def use_paths(folder):
    """Find the owner's modules first, then what is installed, and ours beside this file last."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
    sys.path[:0] = [os.path.join(folder, "src"), folder]
    sys.path.append(HERE)


def messages():
    """Our hydro_serving_grpc; by another name where the model has one of its own."""
    ours = os.path.join(HERE, MESSAGES)
    found = importlib.util.find_spec(MESSAGES)
    if found is not None and found.origin == os.path.join(ours, "__init__.py"):
        return importlib.import_module(MESSAGES)
    name = "slipway_messages"
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(ours, "__init__.py"), submodule_search_locations=[ours]
    )
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Model:
    """`failure` says why the function can't be called, and is empty if it can.

    `hs` has the classes of the messages, `contract` is a ModelContract of them.
    """

    def __init__(self, hs, contract, calls):
        self.failure = ""
        self.name = contract.predict.signature_name or "Predict"
        self._hs = hs
        self._inputs = list(contract.predict.inputs)
        self._outputs = list(contract.predict.outputs)
        self._given = self._as_messages if calls == "tensors" else self._as_arrays
        self._function = None
        self._tensor = hs.TensorProto

    def load(self):
        """Import the owner's module, which may take minutes. Failing is not an error here."""
        try:
            module = importlib.import_module("func_main")
            if not hasattr(module, self.name):
                raise AttributeError(
                    "func_main has no function %r, which is the name of the contract; it has: %s"
                    % (self.name, ", ".join(functions(module)) or "none")
                )
            self._function = getattr(module, self.name)
            if not callable(self._function):
                raise TypeError("func_main.%s can't be called" % self.name)
            self._tensor = self._theirs()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in their code is one more way to fail
            report()
            self.failure = "func_main is not imported due to error: %s" % said(error)

    def predict(self, inputs):
        """The PredictResponse for `inputs`, a map of TensorProto."""
        if self.failure:
            raise Refused(StatusCode.INTERNAL, self.failure)
        given = self._given(inputs)
        try:
            returned = self._function(**given)
        except BaseException as error:  # nothing of theirs may end the thread that answers
            report()
            raise Refused(StatusCode.INTERNAL, said(error)) from error
        try:
            return self._answer(returned)
        except NotConvertible as error:
            text = "The output of %s %s" % (self.name, error)
            raise Refused(StatusCode.OUT_OF_RANGE, text) from error
        except Exception as error:  # an object of their own that can't be looked at
            report()
            raise Refused(StatusCode.INTERNAL, said(error)) from error

    def _theirs(self):
        """The class of TensorProto that the owner's module has, where it has one of its own."""
        for name in (MESSAGES, MESSAGES + ".tf.tensor_pb2"):
            found = getattr(sys.modules.get(name), "TensorProto", None)
            if hasattr(found, "FromString"):
                return found
        return self._hs.TensorProto

    def _taken(self, inputs):
        """The inputs that the contract names. What else came is left out."""
        for field in self._inputs:
            if field.name not in inputs:
                raise Refused(StatusCode.INVALID_ARGUMENT, "Missing '%s' field" % field.name)
            yield field.name, inputs[field.name]

    def _as_arrays(self, inputs):
        given = {}
        for name, tensor in self._taken(inputs):
            try:
                given[name] = array_of(tensor)
            except NotATensor as error:
                raise Refused(StatusCode.INVALID_ARGUMENT, "'%s' %s" % (name, error)) from error
        return given

    def _as_messages(self, inputs):
        if self._tensor is self._hs.TensorProto:
            return dict(self._taken(inputs))
        return {
            name: self._tensor.FromString(tensor.SerializeToString())
            for name, tensor in self._taken(inputs)
        }

    def _answer(self, returned):
        answer = message_of(self._hs.PredictResponse, returned)
        if answer is not None:
            for field in self._outputs:
                if field.name not in answer.outputs:
                    raise NotConvertible("has no '%s' field" % field.name)
            return answer
        if not isinstance(returned, Mapping):
            raise NotConvertible(
                "is of the type %s, and a dict or a PredictResponse is due"
                % type(returned).__name__
            )
        return self._hs.PredictResponse(outputs=tensors_of(self._hs, returned, self._outputs))


def functions(module):
    """The names of the functions that a module defines itself, at most some."""
    own = (
        name
        for name, found in vars(module).items()
        if callable(found) and getattr(found, "__module__", "") == module.__name__
    )
    return sorted(own)[:10]


def report():
    """Write the exception that is being handled where the logs are taken from, if briefly."""
    text = traceback.format_exc()
    if len(text) > 2 * LINES:
        text = "%s\n...\n%s" % (text[:LINES], text[-LINES:])
    print(text, file=sys.stderr, flush=True)


def said(error):
    try:
        return repr(error)
    except Exception:
        return type(error).__name__
