"""A flake that replaces nixpkgs and its mesa, with Debian's software driver for Vulkan.

The host's own driver is moved to a place where the host's loader does not find it. A variable,
which the loader of nixpkgs does not need, makes Debian's loader search where the loader of nixpkgs
does. Both read the manifests in ``share/vulkan/icd.d`` of /run/opengl-driver, and load the drivers
that the manifests name by a store path.
"""

import shlex

LINK = "/run/opengl-driver"
LOOK = f"VK_DRIVER_FILES={LINK}/share/vulkan/icd.d VK_LOADER_DEBUG=driver vulkaninfo --summary"
HIDE_DRIVERS = """
mkdir /usr/share/hidden
mv /usr/lib/x86_64-linux-gnu/libvulkan_lvp.so /usr/share/vulkan/icd.d /usr/share/hidden
"""
"""A script that hides the drivers of a tree with roots.GRAPHICS."""

_FLAKE = r"""
{
  outputs = { self }:
    let
      mesa = attributes: derivation (attributes // {
        name = "mesa-VERSION";
        system = "x86_64-linux";
        driver = ./libvulkan_lvp.so;
        builder = "/bin/sh";
        args = [ "-c" ''
          mkdir -p $out/share/drirc.d
          place=''${drivers:-$out}
          mkdir -p $place/lib $place/share/vulkan/icd.d
          cp $driver $place/lib/libvulkan_lvp.so
          printf '{"ICD": {"api_version": "1.4.0", "library_path": "%s"}, %s}\n' \
            $place/lib/libvulkan_lvp.so '"file_format_version": "1.0.1"' \
            >$place/share/vulkan/icd.d/lvp_icd.x86_64.json
        '' ];
      });
    in {
      packages.x86_64-linux = {
        default = mesa { };
        mesa = mesa { };
        mesa-24 = mesa { outputs = [ "out" "drivers" ]; }; # as in nixpkgs before 25.05
        hello = derivation {
          name = "hello";
          system = "x86_64-linux";
          builder = "/bin/sh";
          args = [ "-c" "mkdir -p $out/bin" ];
        };
      };
    };
}
"""
_NIXPKGS, _OWN = "/var/srv/nixpkgs", "/etc/drivers"


def nixpkgs(*, version: str, driver: str = "/dev/null") -> str:
    """Return a script that makes the flake everybody's nixpkgs; its mesa has ``version``.

    ``driver`` is a file of the host; by default it is empty.
    """
    return f"""
        {_make_flake(_NIXPKGS, version, driver)}
        nix registry add --registry /etc/nix/registry.json nixpkgs path:{_NIXPKGS}
    """


def own_flake() -> str:
    """Return a script that creates the flake of an administrator's own drivers."""
    return _make_flake(_OWN, "1.0", "/dev/null")


def _make_flake(place: str, version: str, driver: str) -> str:
    text = shlex.quote(_FLAKE.replace("VERSION", version))
    return f"""
        mkdir -p {place}
        printf %s {text} >{place}/flake.nix
        [ -e {place}/libvulkan_lvp.so ] || cp {driver} {place}/libvulkan_lvp.so
    """
