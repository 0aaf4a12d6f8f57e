"""The child process of ``opencl_run``. Usage: ``python -m ... FOLDER``."""

from shiftforge.sim.albert.opencl_run import do_job
from shiftforge.sim.opencl import worker

if __name__ == "__main__":
    worker.main(do_job)
