"""What several benchmarks share: facts of the machine, records of runs, pictures."""
