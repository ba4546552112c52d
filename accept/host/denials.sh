# shellcheck shell=sh
# denials.sh: print what SELinux denied in this boot. It needs root.
# A host that keeps no audit records shows nothing, which proves nothing: each boot with a policy
# leaves a record of its loading.
kept=no
if has ausearch; then
    kept=yes
elif journalctl -b -o cat --no-pager | grep -qE 'type=1403|MAC_POLICY_LOAD|policy loaded'; then
    kept=yes
fi
say kept "$kept"
{
    ! has ausearch || ausearch --input-logs -m AVC,USER_AVC -ts boot --raw 2>/dev/null
    journalctl -b -o cat --no-pager
} | grep -E 'avc: +denied' | tail -n 5000 | while read -r line; do
    say denied "$line"
done
