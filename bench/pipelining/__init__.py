"""The pipelining rules held against what Intel's compiler said of public kernels."""
