"""The child process of ``edgebert_run``. Usage: ``python -m ... FOLDER``."""

from shiftforge.sim.opencl import worker
from shiftforge.sim.opencl.edgebert_run import do_job

if __name__ == "__main__":
    worker.main(do_job)
