"""The expressions that the tests of users' commands build; they are local, without network."""

from pathlib import Path

from tests.harness.system import System

# The sandbox has a busybox as /bin/sh.
_EXPRESSIONS = {
    "who.nix": """
{ name, seconds ? "0" }: derivation {
  inherit name seconds;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" ''
    { read start _ </proc/uptime; sleep $seconds; read end _ </proc/uptime
      echo map $(cat /proc/self/uid_map); echo id $(id); echo top $(cd / && echo *)
      echo span $start $end; } >$out
  '' ];
}
""",
    "greet.nix": """
{ name ? "greet" }: derivation {
  inherit name;
  greeting = "from ${name}";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" ''
    mkdir -p $out/bin $out/share/systemd/user
    printf '#!/bin/sh\\necho greeting %s\\n' "$greeting" >$out/bin/$name
    chmod +x $out/bin/$name
    printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=%s\\n' \\
      $out/bin/$name >$out/share/systemd/user/$name.service
  '' ];
}
""",
    "develop.nix": """
{ bash }: derivation {
  name = "develop";
  outputs = [ "out" ]; # nix develop looks for the variable
  greeting = "from develop";
  system = builtins.currentSystem;
  builder = "${builtins.storePath bash}/bin/bash";
}
""",
}
# nix develop requires a bash as the builder, but the sandbox sees only the store. So this adds the
# host's own bash with its libraries to the store, and the sandbox's shell starts it.
ADD_BASH = """
set -euo pipefail
mkdir -p ~/bash/bin ~/bash/lib
cp -L /usr/bin/bash $(ldd /usr/bin/bash | grep -o '/[^ ]*') ~/bash/lib/
cat >~/bash/bin/bash <<'END'
#!/bin/sh
lib=${0%/bin/bash}/lib
exec $lib/ld-linux-*.so.* --argv0 bash --library-path $lib $lib/bash "$@"
END
chmod +x ~/bash/bin/bash
nix store add --name bash ~/bash
"""


def copy_expressions(host: System, place: Path) -> None:
    """Copy who.nix, greet.nix and develop.nix into /srv; ``place`` is an empty directory here."""
    for name, text in _EXPRESSIONS.items():
        (place / name).write_text(text)
        host.copy_in(place / name, f"/srv/{name}")
