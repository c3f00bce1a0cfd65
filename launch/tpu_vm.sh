#!/usr/bin/env bash
# A study on a Cloud TPU VM or slice: creates it, sets it up, runs the same command on all workers, follows the log, begins again
# after a preemption, fetches the results and deletes it.
#
#     launch/tpu_vm.sh go --name traits --zone us-west4-a --type v5litepod-8 --spot --out gs://BUCKET/runs -- --config FILE
#
# Commands: go does all of these in turn, and each can be run alone, with the same options:
#     create    the TPU VM, unless it is there
#     setup     this checkout and its packages, on every worker
#     run       the study on every worker, in the background: it outlives your connection
#     follow    its log until it ends; after a preemption: create, setup and run again
#     status    state of the VM and end of the log
#     fetch     results without checkpoints, into --to
#     delete    the VM
#     worker    what runs on each worker; by hand on any machines: with JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID
#
# Options:
#     --name NAME      of the TPU VM
#     --zone ZONE
#     --type TYPE      accelerator type, such as v5litepod-8, v5p-64 or v6e-8
#     --spot           cheaper, may be preempted at any time
#     --queued         wait in line for it (queued resources); with --spot too
#     --project NAME   (default: gcloud's own)
#     --image NAME     runtime version (default: follows the type)
#     --out PLACE      runs and checkpoints, gs://... for --spot and for more than one worker (default: runs, on the VM's disk)
#     --copy FROM:TO   gs://... folder put on every worker below the checkout before it runs, such as weights; may be repeated
#     --to FOLDER      where fetch puts results (default: runs)
#     --keep           go: leave the VM up at the end
#     --dry-run        print every gcloud call instead of making it
# What follows -- goes to `traitrl study`. Prices, quota and zones are Google's; a VM costs money until it is deleted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly POLL=${TRAITRL_POLL:-30}     # seconds between looks at the VM
readonly ATTEMPTS=${TRAITRL_TRIES:-20} # VMs that go makes, at most
readonly HOME_THERE=traitrl_jax       # the checkout on a worker, below its home
name='' zone='' type='' project='' image='' out=runs to=runs
spot=0 queued=0 keep=0 dry=0
copies=() study=()

fail() {
    echo "tpu_vm: $*" >&2
    exit 2
}

say() { echo "tpu_vm: $*" >&2; }

usage() { sed -n '2,/^set -euo/{/^#/!d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

parse() {
    while (($#)); do
        case $1 in
        --name | --zone | --type | --project | --image | --out | --to | --copy)
            (($# > 1)) || fail "$1 needs a value"
            case $1 in
            --copy)
                [[ $2 == gs://*:?* ]] || fail "--copy $2: write it as gs://BUCKET/FOLDER:FOLDER"
                copies+=("$2")
                ;;
            *) printf -v "${1#--}" %s "$2" ;;
            esac
            shift 2
            ;;
        --spot | --queued | --keep)
            printf -v "${1#--}" 1
            shift
            ;;
        --dry-run)
            dry=1
            shift
            ;;
        --)
            shift
            study=("$@")
            return
            ;;
        *) fail "unknown option $1; launch/tpu_vm.sh --help" ;;
        esac
    done
}

check() {
    [[ -n $name ]] || fail "--name is missing; launch/tpu_vm.sh --help"
    [[ -n $zone ]] || fail "--zone is missing; launch/tpu_vm.sh --help"
    ((dry)) || command -v gcloud >/dev/null || fail "no gcloud here; install the Google Cloud CLI, or add --dry-run"
    ((!spot)) || [[ $out == gs://* ]] || fail "--spot needs --out gs://...: what lies on the VM's disk goes with the VM"
}

check_type() {
    [[ -n $type ]] || fail "--type is missing; launch/tpu_vm.sh --help"
    [[ -z $image ]] || return 0
    case $type in
    v5litepod-*) image=v2-alpha-tpuv5-lite ;;
    v5p-*) image=v2-alpha-tpuv5 ;;
    v6e-*) image=v2-alpha-tpuv6e ;;
    v[234]-*) image=tpu-ubuntu2204-base ;;
    *) fail "no runtime version is known for --type $type; give one with --image" ;;
    esac
}

# Every call of gcloud goes through here.
cloud() {
    if ((dry)); then
        printf '%q ' gcloud "$@" | sed 's/ $/\n/' >&2
    else
        gcloud "$@"
    fi
}

place() { printf '%s\n' "--zone=$zone" ${project:+"--project=$project"}; }

vm() {
    local verb=$1
    shift
    mapfile -t where < <(place)
    cloud compute tpus tpu-vm "$verb" "$@" "${where[@]}"
}

line() {
    local verb=$1
    shift
    mapfile -t where < <(place)
    cloud compute tpus queued-resources "$verb" "$@" "${where[@]}"
}

on_workers() { vm ssh "$name" --worker="$1" --command="$2"; }

# READY, PREEMPTED, ...; ABSENT if there is no such VM.
state() {
    local found
    found=$(vm describe "$name" --format='value(state)' 2>"$errors") || {
        grep -qi 'not.found' "$errors" || {
            cat "$errors" >&2
            fail "the VM's state can not be had; the reason is above"
        }
        found=ABSENT
    }
    ((dry)) && cat "$errors" >&2
    echo "$found"
}

create() {
    check_type
    local options=()
    ((spot)) && options+=(--spot)
    if ((queued)); then
        line create "$name" --node-id="$name" --accelerator-type="$type" --runtime-version="$image" "${options[@]}"
        await_line
    else
        vm create "$name" --accelerator-type="$type" --version="$image" "${options[@]}"
    fi
}

await_line() {
    local found last=''
    while true; do
        found=$(line describe "$name" --format='value(state.state)')
        ((dry)) && return 0
        case $found in
        ACTIVE) return 0 ;;
        FAILED | SUSPENDED) fail "the queued resource is $found; launch/tpu_vm.sh delete, then try again" ;;
        esac
        [[ $found == "$last" ]] || say "in line: $found"
        last=$found
        sleep "$POLL"
    done
}

ensure() {
    local found
    found=$(state)
    case $found in
    READY) ;;
    ABSENT | '') create ;;
    CREATING | STARTING | RESTARTING | REPAIRING)
        say "the VM is $found"
        sleep "$POLL"
        ensure
        ;;
    *)
        say "the VM is $found: making it anew"
        remove
        create
        ;;
    esac
}

# The checkout as it is here, with changes and new files but without what git ignores: what runs is what you see.
setup() {
    local bundle=$scratch/traitrl_jax.tar.gz copy there
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --gzip --file="$bundle" --ignore-failed-read
    vm scp "$bundle" "$name:traitrl_jax.tar.gz" --worker=all
    there="mkdir -p $HOME_THERE && tar --extract --gzip --file=traitrl_jax.tar.gz --directory=$HOME_THERE && cd $HOME_THERE"
    there+=' && export PATH=$HOME/.local/bin:$PATH && { command -v uv >/dev/null || python3 -m pip install --user --quiet uv; }'
    there+=' && launch/setup.sh tpu'
    for copy in "${copies[@]}"; do
        printf -v copy ' && mkdir -p %q && gcloud storage rsync --recursive %q %q' "${copy##*:}" "${copy%:*}" "${copy##*:}"
        there+=$copy
    done
    on_workers all "$there"
}

run() {
    local command there="cd $HOME_THERE || exit; flock --nonblock ../traitrl.lock rm -f ../traitrl.exit"
    printf -v command ' %q' "${study[@]}" --set "out=$out"
    there+="; TRAITRL_PROCESSES=auto TRAITRL_EXIT=../traitrl.exit TRAITRL_LOCK=../traitrl.lock"
    on_workers all "$there nohup setsid launch/tpu_vm.sh worker --$command >>../traitrl.log 2>&1 </dev/null & sleep 1"
}

# On a worker: the study, and its exit code in $TRAITRL_EXIT when it ends. A signal is passed on: the study saves and leaves. The
# lock is held as long as the study lives, and a second one does not begin.
worker() {
    local pid code=0
    if [[ -n ${TRAITRL_LOCK:-} ]]; then
        exec 9>"$TRAITRL_LOCK"
        flock --nonblock 9 || exit 0
    fi
    "${TRAITRL:-.venv/bin/traitrl}" study "${study[@]}" &
    pid=$!
    trap 'kill -TERM $pid 2>/dev/null || true' TERM INT
    while true; do
        wait "$pid" && code=0 || code=$?
        kill -0 "$pid" 2>/dev/null || break # else a signal ended the wait alone
    done
    [[ -z ${TRAITRL_EXIT:-} ]] || echo "$code" >"$TRAITRL_EXIT"
    exit "$code"
}

# New lines of worker 0's log; its last line is "exit" and, once the study has ended, its exit code. One that neither lives nor
# left a code (the machine was restarted) counts as stopped.
look() {
    local ended='cat traitrl.exit 2>/dev/null || flock --nonblock traitrl.lock echo 143'
    on_workers 0 "tail -n +$((seen + 1)) traitrl.log 2>/dev/null; echo; echo exit \$($ended)"
}

# Returns the study's exit code, or 75 when the VM went away.
watch() {
    local text found code
    seen=0
    while true; do
        found=$(state) || {
            sleep "$POLL"
            continue
        }
        if [[ $found != READY ]] && ((!dry)); then
            say "the VM is $found"
            return 75
        fi
        if text=$(look 2>"$errors"); then
            ((dry)) && cat "$errors" >&2 && return 0
            code=$(tail -n 1 <<<"$text")
            text=$(head -n -2 <<<"$text")
            if [[ -n $text ]]; then
                echo "$text"
                seen=$((seen + $(wc -l <<<"$text")))
            fi
            code=${code#exit}
            code=${code// /}
            [[ -z $code ]] || return "$code"
        else
            say "no connection; trying again"
        fi
        sleep "$POLL"
    done
}

follow() {
    local code attempt
    for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
        watch && return
        code=$?
        case $code in
        75) # preempted; a place in line outlives the VM
            ((!queued)) || [[ $(state) != ABSENT ]] || remove
            ensure
            setup
            ;;
        130 | 143) say "stopped by a signal; its last checkpoint is kept" ;;
        *)
            say "the study ended with exit code $code; its log is above. The VM still runs and costs: launch/tpu_vm.sh delete"
            exit "$code"
            ;;
        esac
        say "the same command continues"
        run
    done
    fail "gave up after $ATTEMPTS attempts; launch/tpu_vm.sh delete removes the VM"
}

status() {
    echo "$(state) $name"
    seen=0
    look | tail -n 20
}

fetch() {
    mkdir -p "$to"
    if [[ $out == gs://* ]]; then
        cloud storage rsync --recursive --exclude='.*/(checkpoints|model|compiled)/.*' "$out" "$to"
    else
        vm scp --recurse "$name:$HOME_THERE/$out/*" "$to" --worker=0
    fi
    say "results are in $to"
}

remove() {
    if ((queued)); then
        line delete "$name" --force --quiet
    else
        vm delete "$name" --quiet
    fi
}

go() {
    ensure
    setup
    run
    follow
    fetch
    if ((keep)); then
        say "the VM still runs and costs: launch/tpu_vm.sh delete --name $name --zone $zone"
    else
        remove
    fi
}

action=${1:-}
case $action in
-h | --help | '')
    usage
    exit 0
    ;;
go | create | setup | run | follow | status | fetch | delete | worker) shift ;;
*) fail "unknown command $action; launch/tpu_vm.sh --help" ;;
esac
parse "$@"
if [[ $action == worker ]]; then
    worker
fi
check
[[ $action != go ]] || check_type
scratch=$(mktemp -d)
errors=$scratch/errors
trap 'rm -rf "$scratch"' EXIT
case $action in
create) ensure ;;
delete) remove ;;
*) "$action" ;;
esac
