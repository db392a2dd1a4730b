"""Pools of workers, the master's loop and node-shared arrays; no physics."""
