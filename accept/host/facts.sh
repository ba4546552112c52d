# shellcheck shell=sh
# facts.sh: print the kind of this host, and the rights of this user.
user=$(id -un)
say uid "$(id -u)"
say user "$user"
say home "$HOME"
say name "$(uname -n)"
say kernel "$(uname -r)"
say machine "$(uname -m)"
# The subshell keeps the variables of the file out of this script.
# shellcheck source=/dev/null
say os "$(. /etc/os-release && printf %s "${PRETTY_NAME-}")"
# shellcheck source=/dev/null
say variant "$(. /etc/os-release && printf %s "${VARIANT_ID-}")"
say systemd "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
say boot "$(cat /proc/sys/kernel/random/boot_id)"
image=no
[ ! -e /run/ostree-booted ] || image=ostree
say image "$image"
case $(cat /sys/fs/selinux/enforce 2>/dev/null) in
    1) say selinux enforcing ;;
    0) say selinux permissive ;;
    *) say selinux off ;;
esac
root=no
if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
    root=yes
fi
say root "$root"
tools=
for tool in nix nix-aurora rpm rpm-ostree bootc ostree matchpathcon systemd-run; do
    ! has "$tool" || tools="$tools $tool"
done
say tools "$tools"
