"""Point sources, flares and regions to propose: events in, regions and times out."""
