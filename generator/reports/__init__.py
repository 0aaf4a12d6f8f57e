"""Reports of Intel's FPGA OpenCL compiler, read as data and held against a project's loop table."""
