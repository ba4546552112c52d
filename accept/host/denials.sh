# shellcheck shell=sh
# denials.sh: print SELinux's denials in this boot. It needs root. If the host keeps no audit
# records, finding no denial proves nothing. Each boot that loads a policy records that, so this
# record shows whether the host keeps any.
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
