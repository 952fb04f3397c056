"""A plugin with a bug at import."""

undefined_name.register()
