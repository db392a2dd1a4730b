"""Images and figures that the stages write for inspection."""
