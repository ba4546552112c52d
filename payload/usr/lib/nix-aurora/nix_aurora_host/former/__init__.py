"""What another Nix has left on the host: found by its content, put aside without loss."""
