"""ClusterPyXT, from which this package descends: its files taken in, and its choices."""
