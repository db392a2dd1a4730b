"""A double of CIAO for tests. IT IS NOT CIAO, and numbers of CIAO cannot be had from it.

It stands where CIAO would: an importable ``ciao_contrib``, found by the bridge program in an installation
(`tests/preprocess/ciao/whole/installation.py` lays one out) whose Python has this folder on its path. It
does two things:

* It checks every call strictly against CIAO's own parameter tables (`parameters.json`): names, types,
  choices, limits, what is required; stacks, virtual files and their filters; that inputs are there and
  outputs are not (without ``clobber``); the environment.
* It does each step with simple code, or the package's own, on files simulated as an archive would hold them,
  so that what the package makes of CIAO's products can be compared with what it makes without CIAO. Its
  mirrors, chips and backgrounds are those of `pyxt_hpc.simulate`, not Chandra's.

Whatever is called goes into a log (`faults`), and a test can tell it to fail in various ways at a tool.
"""
