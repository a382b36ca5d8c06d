"""FastStream as in faststream.py, with the bulk analysis of this app for each of its batches of 64."""

from functools import partial

from uvloop import run

from bench.peers import main, results
from bench.peers.faststream import beside, consume

if __name__ == "__main__":
    main(partial(consume, work=results), beside=beside, run=run)
