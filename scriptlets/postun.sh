if [ "$1" = 0 ] && [ -d /var/lib/nix/store ]; then
    echo "nix-aurora: your store and profiles are kept in /var/lib/nix."
    echo "nix-aurora: to remove them, too: sudo rm -rf /var/lib/nix && sudo rmdir /nix"
fi
