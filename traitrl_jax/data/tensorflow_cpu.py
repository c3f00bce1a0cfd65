"""TensorFlow as a reader of data and nothing else: imported on first use, quiet, on a few threads, away from accelerators."""

import contextlib
import os
from functools import cache
from types import ModuleType

THREADS = 2


@cache
def tensorflow() -> ModuleType:
    """The module `tensorflow`. Import takes seconds and 0.7 GB, so only code that reads tf.data calls this."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only; read when the library is loaded
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # somebody has started TensorFlow already: its settings stand
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    return tf
