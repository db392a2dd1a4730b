"""An image in, adaptive bins out."""
