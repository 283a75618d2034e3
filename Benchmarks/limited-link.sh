#!/bin/bash
# Two network namespaces with a slow link between them, a rank in each: what compressed gradients gain where communication is the bottleneck.
#   sudo Benchmarks/limited-link.sh [RATE] [DELAY] [COMMAND...]     for instance 100mbit 1ms
# By default the command is linnet-bench gradients, beside the linnet that was built (BUILD=.build/release). Skipped, with a message, where
# namespaces are not to be had.
set -euo pipefail
rate=${1:-100mbit}
delay=${2:-200us}
shift $(($# < 2 ? $# : 2))
build=$(readlink -f "${BUILD:-.build/release}")
[ $# -gt 0 ] || set -- "$build/linnet-bench" gradients

skip() { echo "skipped: $1"; exit 0; }
command -v ip >/dev/null && command -v tc >/dev/null || skip "ip and tc are needed (Debian's iproute2)"
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
[ -x "$build/linnet" ] || { echo "error: no linnet in $build; run make build" >&2; exit 2; }

names=("linnet$$a" "linnet$$b")
end() { for name in "${names[@]}"; do ip netns del "$name" 2>/dev/null || true; done; }
trap end EXIT
for name in "${names[@]}"; do ip netns add "$name" 2>/dev/null || skip "this kernel or sandbox makes no network namespaces"; done
ip link add veth0 netns "${names[0]}" type veth peer name veth1 netns "${names[1]}" 2>/dev/null || skip "no virtual links here"
for side in 0 1; do
  inside=(ip netns exec "${names[$side]}")
  "${inside[@]}" ip addr add "10.77.0.$((side + 1))/24" dev "veth$side"
  "${inside[@]}" ip link set "veth$side" up
  "${inside[@]}" ip link set lo up
  if ! "${inside[@]}" tc qdisc add dev "veth$side" root netem rate "$rate" delay "$delay" 2>/dev/null; then
    # A kernel without netem limits the rate alone.
    "${inside[@]}" tc qdisc add dev "veth$side" root tbf rate "$rate" burst 32kb latency 400ms 2>/dev/null || skip "this kernel limits no link"
    delay="no delay"
  fi
done
echo "two ranks over a link of $rate, $delay, each way"
launch() { ip netns exec "${names[$1]}" "$build/linnet" launch -n 1 --nodes 2 --node-rank "$1" --master 10.77.0.1:29507 -- "${@:2}"; }
launch 1 "$@" &
other=$!
launch 0 "$@"
wait "$other"
