"""What users write: one INI file for a cluster, and profiles of computing centres."""
