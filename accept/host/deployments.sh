# shellcheck shell=sh
# deployments.sh: print the deployments of the host, as ostree lists them. It needs root.
ostree admin status | while read -r line; do
    say line "$line"
done
[ ! -e /run/ostree/staged-deployment ] || say staged yes
