"""Facts from the running host. All of it is read-only, and works for any user."""
