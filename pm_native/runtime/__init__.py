"""What runs beside or inside the managed programs. A leaf: imports nothing else of pm-native, and little of Python."""
