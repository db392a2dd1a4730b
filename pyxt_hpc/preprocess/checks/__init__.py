"""Headers, events and files held against each other before they are believed."""
