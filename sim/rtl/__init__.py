"""The processing unit's RTL under Verilator: building, running, comparing."""
