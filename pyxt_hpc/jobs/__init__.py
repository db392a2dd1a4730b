"""Jobs of batch systems: profiles of sites, scripts, submission, records and cancellation."""
