"""Has its own build of libcodec.so."""

from tests.algorithms.daemon.codec import Codec


class Algorithm(Codec):
    name = "codec_two"
