"""Python interface: a cluster, its results, maps and regions as objects with units and sky coordinates."""
