"""Pools of workers: this process, forked processes, or MPI ranks."""
