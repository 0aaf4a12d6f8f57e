"""Well-known networks as plain torch modules, for proofs that any of them runs.

Each module has factories that take the side of the image and a width, and return a network with
random weights and settled batch norm (`settle.py`), so that `bench.conv.proof_networks.resnet:
resnet18` is a source of the command line. `catalogue.py` lists them beside what was published.
"""
