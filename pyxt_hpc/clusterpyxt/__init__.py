"""Import of files of ClusterPyXT, from which this package descends, and ClusterPyXT's settings."""
