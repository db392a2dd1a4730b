"""The commands, in modules by their purpose."""
