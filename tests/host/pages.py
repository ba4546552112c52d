"""Replacements, on a host, for downloads that readers of the pages need."""

from pathlib import Path

from tests.harness.nspawn import Host
from tests.host.expressions import ADD_BASH

# This replaces the parts of nixpkgs that the pages name. Its mkShell puts packages on PATH, like
# the setup of nixpkgs. darkhttpd only keeps running, and each package contains a unit, as some
# packages of nixpkgs do.
_NIXPKGS = r"""
{
  outputs = { self }: let
    system = "SYSTEM";
    program = name: text: derivation {
      inherit name system text;
      builder = "/bin/sh";
      args = [ "-c" ''
        mkdir -p $out/bin $out/lib/systemd/system
        printf '#!/bin/sh\n%s\n' "$text" >$out/bin/${name}
        chmod +x $out/bin/${name}
        printf '[Service]\nExecStart=%s\n' $out/bin/${name} >$out/lib/systemd/system/linked.service
      '' ];
    };
  in {
    legacyPackages.${system} = {
      ripgrep = program "rg" "echo ripgrep of the project";
      darkhttpd = program "darkhttpd" ''echo serving "$@"; exec sleep infinity'';
      mkShell = { packages }: derivation {
        inherit system;
        name = "nix-shell";
        outputs = [ "out" ];
        PATH = builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
        builder = "${./bash}/bin/bash";
      };
    };
  };
}
"""
_REGISTRY = """
{
  "version": 2,
  "flakes": [
    {
      "from": { "type": "indirect", "id": "nixpkgs" },
      "to": { "type": "path", "path": "/var/srv/nixpkgs" }
    }
  ]
}
"""
_ADD_NIXPKGS = f"""
{ADD_BASH}
mkdir -p /var/srv/nixpkgs
mv ~/bash /var/srv/nixpkgs/
sed "s/SYSTEM/$(uname -m)-linux/" /srv/nixpkgs.nix >/var/srv/nixpkgs/flake.nix
sed -i 's,^flake-registry =.*,flake-registry = /srv/registry.json,' /etc/nix/nix.custom.conf
ip address add 192.0.2.1/32 dev lo # without an address Nix asks no cache
systemctl restart nix-daemon.service
"""

# This builds what Home Manager builds from a home.nix with a program, a file, a variable and a
# service.
_GENERATION = r"""
{ greeting }: let
  make = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  path = make "home-manager-path" ''
    mkdir -p $out/bin $out/etc/profile.d
    printf '#!/bin/sh\necho ${greeting}\n' >$out/bin/greet
    chmod +x $out/bin/greet
    echo 'export GREETING="${greeting}"' >$out/etc/profile.d/hm-session-vars.sh
  '';
  files = make "home-manager-files" ''
    units=$out/.config/systemd/user
    mkdir -p $units/default.target.wants $out/.config/greet
    echo '${greeting}' >$out/.config/greet/${greeting}
    printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=${path}/bin/greet\n' \
      >$units/greet.service
    ln -s $units/greet.service $units/default.target.wants/greet.service
  '';
in make "home-manager-generation" ''
  mkdir $out
  ln -s ${files} $out/home-files
  ln -s ${path} $out/home-path
  { echo "#!/bin/bash"; echo "generation=$out"; cat ${./activate.sh}; } >$out/activate
  chmod +x $out/activate
''
"""
# These are the steps of Home Manager's activation, as read in its modules/ at ec1a8fd.
_ACTIVATE = """
set -eu
cd
state=~/.local/state
roots=$state/home-manager/gcroots
nix-build --quiet --no-out-link --expr '{ }'
nix-env --query >/dev/null 2>&1 || : # this creates the user's profiles; it may fail
mkdir -p $roots
nix-store --realise $generation --add-root $roots/new-home >/dev/null
old=$(readlink -e $roots/current-home || :) # the first generation replaces none
if [ "$old" != $generation ]; then
    nix-env --profile $state/nix/profiles/home-manager --set $generation
fi
files() { cd "$1/home-files/" && find . -type f -o -type l; }
if [ -n "$old" ]; then
    for file in $(files $old); do
        [ -e "$generation/home-files/$file" ] || rm ~/$file
    done
fi
for file in $(files $generation); do
    mkdir -p ~/${file%/*}
    ln -sfn "$(readlink $generation/home-files)/${file#./}" ~/$file
done
if [ -e ~/.nix-profile/manifest.json ]; then
    nix profile remove home-manager-path
    nix profile install $(readlink $generation/home-path)
else
    nix-env --install $(readlink $generation/home-path)
fi
systemctl --user daemon-reload
systemctl --user restart greet.service
nix-store --realise $generation --add-root $roots/current-home >/dev/null
rm $roots/new-home
"""

# This starts two servers with TLS, whose certificate the host trusts; see private.py. The store
# path that only the cache has is signed, and no store on the host contains it.
_ADD_SERVERS = """
cd /srv
printf '127.0.0.1 %s\\n' cache.example.com api.github.com github.com >>/etc/hosts
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout key.pem -out certificate.pem \\
    -subj /CN=tests -addext \\
    subjectAltName=DNS:cache.example.com,DNS:api.github.com,DNS:github.com 2>/dev/null
cat key.pem >>certificate.pem
chmod 0600 certificate.pem
openssl x509 -in certificate.pem >>/etc/ssl/certs/ca-certificates.crt
nix key generate-secret --key-name cache.example.com-1 >secret
path=$(nix build --no-link --print-out-paths --file greet.nix --argstr name private)
nix copy --to 'file:///srv/cache?secret-key=/srv/secret' "$path"
nix store delete "$path" >/dev/null
mkdir repository
echo '{ outputs = _: { }; }' >repository/flake.nix
tar -czf repository.tar.gz repository
install -m 0666 /dev/null asked
systemd-run --quiet --unit=servers --property=StandardOutput=append:/srv/asked \\
    --property=WorkingDirectory=/srv \\
    /usr/bin/python3 private.py certificate.pem cache repository.tar.gz
until curl --silent --output /dev/null https://cache.example.com; do sleep 0.1; done
echo "$path"
nix key convert-secret-to-public <secret
"""


def add_nixpkgs(host: Host, place: Path) -> None:
    """Create a flake on the host that is ``nixpkgs``; ``place`` is a directory on this machine."""
    for name, text in (("nixpkgs.nix", _NIXPKGS), ("registry.json", _REGISTRY)):
        (place / name).write_text(text)
        host.copy_in(place / name, f"/srv/{name}")
    host.run(f"export HOME=/root\n{_ADD_NIXPKGS}")


def add_generations(host: Host, place: Path) -> None:
    """Copy generation.nix to /srv/home; ``place`` is a directory on this machine."""
    for name, text in (("generation.nix", _GENERATION), ("activate.sh", _ACTIVATE)):
        (place / name).write_text(text)
        host.copy_in(place / name, f"/srv/home/{name}")


def add_servers(host: Host) -> tuple[str, str]:
    """Start the servers; return the store path that only the cache has, and the public key."""
    host.copy_in(Path(__file__).with_name("private.py"), "/srv/private.py")
    path, key = host.run(f"export HOME=/root\n{_ADD_SERVERS}").stdout.split()
    return path, key
