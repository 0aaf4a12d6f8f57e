"""The convolution accelerator: time, memory, cycles, and integers on photographs."""
